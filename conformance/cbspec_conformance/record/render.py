"""An exchange as text: arrows, messages, ends of connections. Tokens are masked and long texts cut."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cbspec.redact import redact
from cbspec_conformance.record.excerpt import decisive, excerpt
from cbspec_conformance.record.exchange import Exchange
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

_LONGEST = 200
_MOST = 24


def render(transcript: Transcript, exchanges: Sequence[Exchange]) -> str:
    """Return the connections of `exchanges` up to the last one; without exchanges, the last connection.

    Connections that were open at the time are included. ">" marks the decisive request and its answers.
    """
    decided = {id(decisive(transcript, exchanges)), *(id(answer) for last in exchanges[-1:] for answer in last.answers)}
    return _lines(excerpt(transcript, exchanges, parallel=True), decided)


def render_connection(transcript: Transcript, number: int) -> str:
    """Return one connection as text."""
    records = [r for r in transcript.records if r.connection == number and isinstance(r, WireRecord)]
    return _lines(records, set())


def _lines(records: Sequence[WireRecord], decided: set[int]) -> str:
    lines = [line for record in records if (line := _line(record, ">" if id(record) in decided else " "))]
    if len(lines) > _MOST:
        lines = [*lines[:4], f"      … {len(lines) - _MOST} lines left out", *lines[4 - _MOST :]]
    return "\n".join(lines)


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
    if isinstance(record, Bytes):
        return ""
    arrow = "->" if record.direction is Direction.SENT else "<-"
    note = f"   [{record.meant}]" if record.meant else ""
    received = record.direction is Direction.RECEIVED
    fault = f"   [{record.decoded.fault}]" if record.decoded.fault and received else ""
    return f"{head} {arrow} {_text(record)}{note}{fault}"


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
    text = redact(text, "***")
    text = text.encode("unicode_escape", "backslashreplace").decode() if not text.isprintable() else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(message.text)} bytes)"
