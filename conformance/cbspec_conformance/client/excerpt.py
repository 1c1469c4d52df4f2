"""What was observed in a situation as rows in the order of time, seen from the relay, and as text.

The rows have the form of a relay's transcript (`cbspec_conformance.record.saved`), with three more kinds: `Struck`,
when the situation took effect; `Output`, a line of the client's output; and `Exited`, the end of its process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cbspec.redact import redact, redact_message
from cbspec_conformance.client.incoming import ClientMessage
from cbspec_conformance.client.observed import ClientConnection, Observation
from cbspec_conformance.record.transcript import Direction

_LONGEST = 160

ClientRow = dict[str, Any]


def rows_of(seen: Observation) -> list[ClientRow]:
    """Return the rows of an observation. Tokens are redacted."""
    rows = sorted(_rows(seen), key=lambda row: float(row["at"]))
    return [{name: each for name, each in row.items() if each not in ("", None) and each is not False} for row in rows]


def exchanges_of(rows: Sequence[ClientRow]) -> Iterator[Sequence[ClientRow]]:
    """Yield the rows in parts, each of which begins with requests of the client that nothing separates."""
    begin = 0
    for place in range(1, len(rows)):
        if _is_request(rows[place]) and not _is_request(rows[place - 1]) and any(map(_is_request, rows[begin:place])):
            yield rows[begin:place]
            begin = place
    if rows:
        yield rows[begin:]


def decisive_places(rows: Sequence[ClientRow], struck: float | None) -> tuple[int, ...]:
    """Return the places of the rows from the request on that met the situation."""
    if struck is None:
        return ()
    first = next((place for place, row in enumerate(rows) if row["at"] >= struck), len(rows))
    met = (place for place in range(first - 1, -1, -1) if _is_request(rows[place]))
    return tuple(range(next(met, first), len(rows)))


def excerpt(seen: Observation) -> str:
    """Return an observation as lines; ">" marks what came from the request on that met the situation."""
    rows = rows_of(seen)
    decisive = set(decisive_places(rows, seen.struck))
    return "\n".join(
        f"{'>' if place in decisive else ' '} {row['at']:7.3f} {_short(_text(row))}" for place, row in enumerate(rows)
    )


def _is_request(row: ClientRow) -> bool:
    return row["record"] == "Message" and row["direction"] is Direction.RECEIVED


def _rows(seen: Observation) -> Iterator[ClientRow]:
    for connection in seen.connections:
        yield from _connection(connection)
    for strike in seen.strikes:
        what = f"the fault strikes at {strike.message or 'the connection'}"
        yield {"record": "Struck", "at": strike.at, "connection": strike.connection, "what": what}
    if seen.acted is not None:
        yield {"record": "Struck", "at": seen.acted, "connection": 0, "what": "the judge drops the connections"}
    for line in seen.output:
        yield {"record": "Output", "at": line.at, "connection": 0, "stream": line.stream, "text": line.text}
    if (end := seen.exit) is not None:
        row = {"record": "Exited", "at": end.at, "connection": 0, "code": end.code, "signal": end.signal}
        if end.asked is not None:
            asked = "asked to end by SIGTERM" + (", then killed" if end.killed else "")
            yield {**row, "asked": round(end.asked, 6), "after": asked}
        else:
            yield row


def _connection(connection: ClientConnection) -> Iterator[ClientRow]:
    number, handshake = connection.number, connection.handshake
    head = {"at": connection.at, "connection": number}
    if handshake.failure or handshake.plain:
        plain = f"plain text instead of TLS: {redact(repr(handshake.plain[:60]))}" if handshake.plain else ""
        reason = "; ".join(filter(None, (handshake.failure, plain)))
        yield {"record": "Failed", **head, "reason": reason, "alert": handshake.alert_received}
    else:
        websocket = connection.incoming.frames is not None
        tls = {"tls": handshake.version, "cipher": handshake.cipher} if handshake.done else {}
        yield {"record": "Opened", **head, "transport": "websocket" if websocket else "tcp", **tls}
    yield from (_message(number, Direction.RECEIVED, message) for message in connection.messages)
    yield from (_message(number, Direction.SENT, message) for message in connection.outgoing.messages)
    if connection.incoming.rest.strip():
        rest = ClientMessage(connection.ended or connection.at, connection.incoming.rest, {}, fault="half a message")
        yield _message(number, Direction.RECEIVED, rest)
    if connection.ended is not None:
        how = f"ended by the {connection.by}: {connection.how}"
        yield {"record": "Ended", "at": connection.ended, "connection": number, "how": how}


def _message(number: int, direction: Direction, message: ClientMessage) -> ClientRow:
    return {
        "record": "Message",
        "at": message.at,
        "connection": number,
        "direction": direction,
        "text": redact_message(message.text.strip()),
        "requirement": message.requirement,
        "fault": redact(message.fault),
        "binary": message.binary,
    }


def _text(row: ClientRow) -> str:
    """Return a row as text."""
    of = f"#{row['connection']}"
    match row["record"]:
        case "Opened":
            return f"{of} connects ({row['tls']}, {row['cipher']})" if "tls" in row else f"{of} connects"
        case "Failed":
            alert = f", alert {row['alert']} received" if "alert" in row else ""
            return f"{of} TLS failed: {row['reason']}{alert}"
        case "Message":
            half = "half a message: " if row.get("fault") == "half a message" else ""
            return f"{of} {'->' if _is_request(row) else '<-'} {half}{row.get('text', '')}"
        case "Ended":
            return f"{of} {row['how']}"
        case "Struck":
            return f"{of} !! {row['what']}"
        case "Output":
            return f"{row['stream']}: {row.get('text', '')}"
    after = f", {row['after']}" if "after" in row else ""
    code = f"exit code {row.get('code')}"
    return f"-- the client ends with {row.get('signal', code)}{after}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
