"""What was observed in a situation as text: the connections, messages, output and end of the client, in their order."""

from __future__ import annotations

from collections.abc import Iterator

from cbspec.redact import redact, redact_message
from cbspec_conformance.client.observed import ClientConnection, Observation

_LONGEST = 160


def excerpt(seen: Observation) -> str:
    """Return the lines of an observation; ">" marks what came after the situation struck. Tokens are redacted."""
    struck = seen.struck
    lines = sorted(_events(seen), key=lambda event: event[0])
    return "\n".join(
        f"{'>' if struck is not None and at >= struck else ' '} {at:7.3f} {_short(text)}" for at, text in lines
    )


def _events(seen: Observation) -> Iterator[tuple[float, str]]:
    for connection in seen.connections:
        yield from _connection(connection)
    for strike in seen.strikes:
        yield strike.at, f"#{strike.connection} !! the fault strikes at {strike.message or 'the connection'}"
    if seen.acted is not None:
        yield seen.acted, "-- the judge drops the connections"
    for line in seen.output:
        yield line.at, f"{line.stream}: {line.text}"
    if (end := seen.exit) is not None:
        asked = "" if end.asked is None else " after SIGTERM" if not end.killed else " after SIGTERM and SIGKILL"
        yield end.at, f"-- the client ends with {end.signal or f'exit code {end.code}'}{asked}"
        if end.asked is not None:
            yield end.asked, "-- SIGTERM"


def _connection(connection: ClientConnection) -> Iterator[tuple[float, str]]:
    number, handshake = connection.number, connection.handshake
    state = f"connects ({handshake.version}, {handshake.cipher})" if handshake.done else "connects"
    yield connection.at, f"#{number} {state}"
    if handshake.failure:
        alert = f", alert {handshake.alert_received} received" if handshake.alert_received else ""
        yield connection.at, f"#{number} TLS failed: {handshake.failure}{alert}"
    if handshake.plain:
        yield connection.at, f"#{number} plain text instead of TLS: {redact(repr(handshake.plain[:60]))}"
    for message in connection.messages:
        yield message.at, f"#{number} -> {redact_message(message.text.strip())}"
    for message in connection.outgoing.messages:
        yield message.at, f"#{number} <- {redact_message(message.text.strip())}"
    if connection.incoming.rest.strip():
        yield connection.ended or 0.0, f"#{number} -> half a message: {redact_message(connection.incoming.rest)}"
    if connection.ended is not None:
        yield connection.ended, f"#{number} ended by the {connection.by}: {connection.how}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
