"""An exchange as text: the decisive lines first, then the history. Tokens are masked and long texts cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from cbspec.redact import redact
from cbspec_conformance.record.excerpt import decisive, decisive_records, excerpt, is_fence, without_bytes
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import printable
from cbspec_conformance.record.repetitions import repetitions
from cbspec_conformance.record.transcript import (
    Bytes,
    Direction,
    Ended,
    Failed,
    Message,
    Opened,
    Transcript,
    Waited,
    WireRecord,
)

BEFORE = "  before:"
"""The beginning of the line that sums up the history. The decisive lines are above it, the history is below it."""

_LONGEST = 200
_MOST = 24
_CYCLE = 6  # most lines of a repetition that is folded: a request, its answer, a fence and so on
_MOST_CONNECTIONS = 3  # in the line that sums up the history


def render(transcript: Transcript, exchanges: Sequence[Exchange]) -> str:
    """Return the decisive lines of the last exchange, marked ">", and the history of the connections.

    Without exchanges, return the last connection. Connections that were open at the time are included.
    """
    return _text_of(excerpt(transcript, exchanges, parallel=True), decisive_records(transcript, exchanges))


def render_connection(transcript: Transcript, number: int, last: Message | None = None) -> str:
    """Return one connection as text; `last` is its first decisive message, if it has one."""
    records = [r for r in transcript.records if r.connection == number and isinstance(r, WireRecord)]
    at = next((at for at, record in enumerate(records) if record is last), max(len(records) - 2, 0))
    return _text_of(records, records[at:])


def chronicle(transcript: Transcript, number: int) -> str:
    """Return one connection as text, in the order of events."""
    records = [r for r in transcript.records if r.connection == number and isinstance(r, WireRecord)]
    return "\n".join(_folded(without_bytes(records), ""))


def change_of(transcript: Transcript, exchanges: Sequence[Exchange]) -> str:
    """Return the description of the decisive request: its intended mistake, or its place in a series."""
    request = decisive(transcript, exchanges)
    return request.meant if request is not None and not is_fence(request) else ""


def _text_of(records: Sequence[WireRecord], decided: Sequence[WireRecord]) -> str:
    shown, of = without_bytes(records), {id(record) for record in decided}
    history = [record for record in shown if id(record) not in of]
    decided = [record for record in shown if id(record) in of]
    lines = _folded(decided, ">") + ([f"{BEFORE} {summed}"] if decided and (summed := _summary(history)) else [])
    return "\n".join(lines + _folded(history, " "))


def _folded(records: Sequence[WireRecord], mark: str) -> list[str]:
    """Return a line for each record; repetitions and the middle of many lines are only counted."""
    lines = folded([_line(record, mark) for record in records], [_shape(record) for record in records])
    if len(lines) > _MOST:
        lines = [*lines[:4], f"{mark}      … {len(lines) - _MOST} lines left out", *lines[4 - _MOST :]]
    return lines


def folded(lines: Sequence[str], shapes: Sequence[object]) -> list[str]:
    """Return lines with their repetitions only counted; lines repeat if their shapes do."""
    shown: list[str] = []
    for at, period, times in repetitions(shapes, _CYCLE):
        shown += lines[at : at + period]
        if times > 1:
            of = f"{period} lines" if period > 1 else "line"
            shown.append(f"{lines[at][:1]}      … the last {of} {times - 1} more times")
    return shown


def _shape(record: WireRecord) -> object:
    """Return the parts of a record in which repetitions are equal."""
    if isinstance(record, Message):
        told = (record.type, record.member("status"), record.member("code"), record.decoded.fault)
        kind = "" if record.type.startswith("cbspec_") else repr(told)
        return (record.connection, record.direction, kind, record.meant)
    return id(record)


def _summary(records: Sequence[WireRecord]) -> str:
    """Return the requests of each connection on one line, those that were refused with the code."""
    names: dict[int, list[str]] = {}
    open_ = set[int]()  # connections whose last request has no answer yet
    for record in records:
        if not isinstance(record, Message):
            continue
        sent = names.setdefault(record.connection, [])
        if record.direction is Direction.SENT:
            (open_.discard if is_fence(record) else open_.add)(record.connection)
            if not is_fence(record):
                name = f"{record.type}{f' [{record.meant}]' if record.meant else ''}".strip() or "bytes"
                sent.append(printable(name))
        elif record.connection in open_:
            open_.discard(record.connection)
            code = record.member("code") if record.type == "error" else None
            sent[-1] += f" ({printable(code)})" if isinstance(code, str) else ""
    told = [f"#{number} {', '.join(map(_times, _runs(sent)))}" for number, sent in names.items() if sent]
    more = [f"{len(told) - _MOST_CONNECTIONS} more connections"] if len(told) > _MOST_CONNECTIONS else []
    return "; ".join([*told[-_MOST_CONNECTIONS:], *more])


def _runs(names: Sequence[str]) -> list[list[str]]:
    return [list(run) for _, run in groupby(names)]


def _times(run: Sequence[str]) -> str:
    return f"{run[0]} x{len(run)}" if len(run) > 1 else run[0]


def _line(record: WireRecord, mark: str) -> str:
    head = f"{mark}{record.at:6.3f} #{record.connection}"
    if isinstance(record, Opened):
        return f"{head} -- connected to {record.target} ({record.transport}, {record.tls})"
    if isinstance(record, Ended):
        return f"{head} -- {record.how}{f' ({record.detail})' if record.detail else ''}"
    if isinstance(record, Failed):
        alert = f"; alert {record.alert}" if record.alert else ""
        return f"{head} -- no TLS session with {record.target}: {record.reason}{alert}"
    if isinstance(record, Waited):
        return f"{head} -- waited {record.seconds:.1f} s in vain for {record.what}"
    arrow = "->" if record.direction is Direction.SENT else "<-"
    if isinstance(record, Bytes):
        start = record.data.split(b"\r\n")[0] if record.data.startswith((b"GET ", b"HTTP/")) else b""
        text = printable(redact(start.decode("latin-1"), "***"))[:_LONGEST]  # other bytes may be a part of a token
        return f"{head} {arrow} [{len(record.data)} bytes] {text}".rstrip()
    received = record.direction is Direction.RECEIVED
    note = record.decoded.fault if received else record.meant
    return " ".join(filter(None, (head, arrow, f"[{note}]" if note else "", _text(record))))


def masked(token: object) -> object:
    """Return the type of a token's value, and nothing else of it."""
    if isinstance(token, str):
        return "***" if token else ""
    if isinstance(token, list):
        return [masked(item) for item in token]
    return dict.fromkeys(token, "***") if isinstance(token, dict) else token


def _text(message: Message) -> str:
    text = message.text.decode("utf-8", "backslashreplace")
    if message.type == "auth" and "token" in message.value:
        text = json.dumps({**message.value, "token": masked(message.value["token"])}, separators=(",", ":"))
    text = printable(redact(text, "***"))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(message.text)} bytes)"
