"""An exchange for people: arrows, messages, what the connection did. Tokens are masked, long texts cut."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from cbspec_conformance.record.excerpt import decisive, excerpt
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import (
    Bytes,
    Direction,
    Ended,
    Failed,
    Message,
    Opened,
    Record,
    Transcript,
    Waited,
)

_LONGEST = 200
_MOST = 24
_JWT = re.compile(r"eyJ[\w-]{5,}+(?:\.[\w-]*+){0,2}")  # takes a time that grows with the text and no faster


def render(transcript: Transcript, exchanges: Sequence[Exchange]) -> str:
    """Return the connections of `exchanges` as they went, up to the last one; the last connection where none is named.

    Those that were open beside them come along. ">" marks the request that the verdict is about, and its answers.
    """
    decided = {id(decisive(transcript, exchanges)), *(id(answer) for last in exchanges[-1:] for answer in last.answers)}
    return _lines(excerpt(transcript, exchanges, beside=True), decided)


def render_connection(transcript: Transcript, number: int) -> str:
    """Return one connection as it went."""
    return _lines([record for record in transcript.records if record.connection == number], set())


def _lines(records: Sequence[Record], decided: set[int]) -> str:
    lines = [line for record in records if (line := _line(record, ">" if id(record) in decided else " "))]
    if len(lines) > _MOST:
        lines = [*lines[:4], f"      … {len(lines) - _MOST} lines left out", *lines[4 - _MOST :]]
    return "\n".join(lines)


def _line(record: Record, mark: str) -> str:
    head = f"{mark}{record.at:6.3f} #{record.connection}"
    if isinstance(record, Opened):
        return f"{head} -- connected to {record.target} ({record.transport}, {record.tls})"
    if isinstance(record, Ended):
        return f"{head} -- {record.how}{f' ({record.detail})' if record.detail else ''}"
    if isinstance(record, Failed):
        alert = f"; alert {record.alert}" if record.alert else ""
        return f"{head} -- no TLS session with {record.target}: {record.reason}{alert}"
    if isinstance(record, Waited):
        return f"{head} -- waited {record.seconds:.1f} s for nothing ({record.what})"
    if isinstance(record, Bytes):
        return ""
    arrow = "->" if record.direction is Direction.SENT else "<-"
    note = f"   [{record.meant}]" if record.meant else ""
    received = record.direction is Direction.RECEIVED
    fault = f"   [{record.decoded.fault}]" if record.decoded.fault and received else ""
    return f"{head} {arrow} {_text(record)}{note}{fault}"


def _masked(token: object) -> object:
    """Return what kind of value a token is, and nothing else of it."""
    if isinstance(token, str):
        return "***" if token else ""
    if isinstance(token, list):
        return [_masked(item) for item in token]
    return dict.fromkeys(token, "***") if isinstance(token, dict) else token


def _text(message: Message) -> str:
    text = message.text.decode("utf-8", "backslashreplace")
    if message.type == "auth" and "token" in message.value:
        text = json.dumps({**message.value, "token": _masked(message.value["token"])}, separators=(",", ":"))
    text = _JWT.sub("***", text)
    text = text.encode("unicode_escape", "backslashreplace").decode() if not text.isprintable() else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(message.text)} bytes)"
