"""The records of a case as rows of a sequence diagram, and its judgements in words: pure functions.

A row is a list that begins with its kind, the place of its record, the time in seconds and the connection:

    ["m", place, at, connection, by_relay, text, note, label]   a message; the label replaces an unreadable text
    ["s", place, at, connection, tone, text]                    a state of the connection: "open", "end" or "bad"
    ["n", place, at, connection, tone, text]                    a conclusion: "", "good" or "bad"
    ["x", place, at, connection, text]                          a line of a client's output, or its exit
    ["r", rows, times]                                          the last rows came so many times more

`page.js` draws them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from cbspec_conformance.record.quoting import shortened
from cbspec_conformance.record.repetitions import repetitions

Record = Mapping[str, Any]
Row = list[Any]

LONGEST: Final = 4096
"""Characters of a message that the page holds; a stream holds no more either."""

_LONGEST_PASSED: Final = 600  # the same in a case without a finding: its texts only illustrate
_MOST: Final = 240  # rows of a case
_CYCLE: Final = 12  # most rows of a repetition
_STATES: Final = {"Opened": "open", "Ended": "end", "Failed": "bad"}
_EXPECTED: Final = {
    "accepted": "accepted",
    "refused_with": "error {}",
    "refused": "error or close",
    "not_accepted": "no success",
    "noticed": "answer or close",
    "all_answered": "all answered: {}",
    "invariant": "a well-formed answer",
}


def diagram(records: Sequence[Record], decisive: Collection[int] = (), *, of_client: bool = False) -> list[Row]:
    """Return the rows of a case; `of_client` says that its records are those of the relay.

    Repetitions and the middle of many rows are left out, but no `decisive` place.
    """
    talking = {record["connection"] for record in records if record["record"] == "Message"}
    longest = LONGEST if decisive else _LONGEST_PASSED
    rows = []
    for place, record in enumerate(records):
        if record["record"] == "Bytes" and record["connection"] in talking:
            continue  # the messages say it
        if (tail := _tail(record, longest, of_client=of_client)) is not None:
            rows.append([tail[0], place, round(record["at"], 4), *tail[1:]])
    return _bounded(_folded(rows, decisive), decisive)


def judgements(records: Sequence[Record]) -> Counter[tuple[str, str, str, bool]]:
    """Return how often the case compared a request's answers with an expectation: request, expected, seen, broken."""
    found = Counter[tuple[str, str, str, bool]]()
    for record in records:
        if record["record"] == "Judged" and record["result"] in ("passed", "broken"):
            exchange = records[record["exchange"]]
            sent = records[exchange["request"]] if exchange.get("request") is not None else None
            request = (_name(sent) + (f" [{sent['meant']}]" if "meant" in sent else "")) if sent else "nothing"
            found[
                (request, _expected(record["expectation"]), _seen(exchange, records), record["result"] == "broken")
            ] += 1
    return found


def _tail(record: Record, longest: int, *, of_client: bool) -> tuple[Any, ...] | None:
    """Return a row without place and time, or None if the record isn't shown."""
    number, kind = record.get("connection", 0), record["record"]
    if kind in ("Message", "Bytes"):
        by_relay = int((record["direction"] == "received") is not of_client)
        if kind == "Bytes":
            return "m", number, by_relay, "", f"{record['size']} bytes", "bytes"
        text, note = record.get("text", ""), record.get("meant") or record.get("fault", "")
        label = _name(record) if record.get("cut") or len(text) > longest else ""
        return "m", number, by_relay, shortened(text, longest), note, label
    if kind in _STATES:
        return "s", number, _STATES[kind], _state(record)
    if kind in ("Output", "Exited"):
        return "x", number, _of_process(record)
    tone, told = _conclusion(record)
    return ("n", number, tone, told) if told else None


def _state(record: Record) -> str:
    """Return the change of a connection's state in words."""
    match record["record"]:
        case "Opened":
            source = f"from {record['source']}" if "source" in record else ""
            return ", ".join(filter(None, (record["transport"], record.get("tls"), record.get("cipher"), source)))
        case "Ended":
            return str(record["how"]) + (f" ({record['detail']})" if record.get("detail") else "")
        case _:
            alert = f"; alert {record['alert']}" if record.get("alert") else ""
            return f"no TLS session: {record['reason']}{alert}"


def _of_process(record: Record) -> str:
    """Return a line of a client's output, or the end of its process."""
    if record["record"] == "Output":
        return f"{record.get('stream', 'output')}: {record.get('text', '')}"
    ended = record.get("signal") or f"exit code {record.get('code')}"
    return f"the client ends with {ended}" + (f", {record['after']}" if record.get("after") else "")


def _conclusion(record: Record) -> tuple[str, str]:
    """Return the tone of a conclusion and its words ("": none)."""
    match record["record"]:
        case "Waited":
            return "", f"waited {record['seconds']:.1f} s in vain for {record['what']}"
        case "Concluded" if record.get("silence"):
            return "", f"no answer: {record['silence']}"
        case "Judged":
            expected, result = _expected(record["expectation"]), record["result"]
            if result == "passed":
                return "good", f"{expected}, as expected"
            return ("bad", f"not as expected: {expected}") if result == "broken" else ("", f"{expected}: {result}")
        case "Blamed":
            breach = record["breach"]
            return "bad", f"{breach['requirement']}: expected {breach['expected']}; seen: {breach['seen']}"
        case "Observed":
            return "", f"observed: {record['value']}" + (f" ({record['of']})" if record.get("of") else "")
        case "TriedAgain":
            return "", "the relay had paused as a whole: the case begins again, and nothing above counts"
        case _:
            return "", record.get("what") or record.get("text") or ""


def _expected(expectation: Record) -> str:
    words = str(_EXPECTED.get(expectation["kind"], expectation["kind"]))
    return words.format(" or ".join(expectation.get("values", ())))


def _seen(exchange: Record, records: Sequence[Record]) -> str:
    answers = Counter(_name(records[place]) for place in exchange.get("answers", ()))
    told = ", ".join(name + (f" x{times}" if times > 1 else "") for name, times in answers.items())
    return told or ("no answer" if exchange.get("silence") else "the end of the connection")


def _name(message: Record) -> str:
    """Return a message's type with the member that tells its kind."""
    value = message.get("value")
    if value is None:  # a stream leaves it out if the text says the same
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(message.get("text", ""))
    parts = [value.get(name) for name in ("type", "status", "code")] if isinstance(value, dict) else []
    found = [part for part in parts if isinstance(part, str)]
    return shortened(" ".join(found), 60) if found else "an unreadable message"


def _shape(row: Row) -> object:
    """Return the parts of a row in which repetitions are equal."""
    if row[0] == "m":
        kind = re.search(r'"type"\s*:\s*"[^"]*"', row[5])
        told = re.findall(r'"(?:code|status)"\s*:\s*"[^"]*"', row[5])
        return ("m", row[4], kind and kind[0], *told, re.sub(r"\d+", "0", row[6]))
    return (row[0], *(re.sub(r"\d+", "0", str(part)) for part in row[4:]))


def _folded(rows: Sequence[Row], decisive: Collection[int]) -> list[Row]:
    shapes = [row[1] if row[1] in decisive else _shape(row) for row in rows]
    shown: list[Row] = []
    for at, period, times in repetitions(shapes, _CYCLE):
        shown += rows[at : at + period]
        if times > 1:
            shown.append(["r", period, times - 1])
    return shown


def _bounded(rows: list[Row], decisive: Collection[int]) -> list[Row]:
    """Return the rows without the middle of a long case, but with its decisive rows and those before them."""
    if len(rows) <= _MOST:
        return rows
    near = {at - back for at, row in enumerate(rows) if row[0] != "r" and row[1] in decisive for back in range(8)}
    kept = {*range(_MOST // 2), *range(len(rows) - _MOST // 2, len(rows)), *near}
    shown: list[Row] = []
    gap = 0
    for at, row in enumerate(rows):
        if at in kept:
            shown += [["g", gap]] if gap else []
            shown.append(row)
        gap = 0 if at in kept else gap + 1
    return shown
