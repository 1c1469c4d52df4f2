"""An exchange for people: arrows, messages, what the connection did. Tokens are masked, long texts cut."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from conformance.exchange import Exchange
from conformance.transcript import Bytes, Direction, Ended, Failed, Message, Opened, Record, Transcript, Waited

_LONGEST = 200
_MOST = 24
_JWT = re.compile(r"eyJ[\w-]{5,}\.[\w-]*\.?[\w-]*")


def render(transcript: Transcript, exchanges: Iterable[Exchange]) -> str:
    """Return the connections of `exchanges` as they went; the last connection where none is named."""
    numbers = {message.connection for exchange in exchanges for message in _messages(exchange)}
    return _connections(transcript, numbers or {max((record.connection for record in transcript.records), default=0)})


def render_connection(transcript: Transcript, number: int) -> str:
    """Return one connection as it went."""
    return _connections(transcript, {number})


def _connections(transcript: Transcript, numbers: set[int]) -> str:
    records = [record for record in transcript.records if record.connection in numbers]
    lines = [line for record in records if (line := _line(record))]
    if len(lines) > _MOST:
        lines = [*lines[:4], f"      … {len(lines) - _MOST} lines left out", *lines[4 - _MOST :]]
    return "\n".join(lines)


def _messages(exchange: Exchange) -> list[Message]:
    return [*([exchange.request] if exchange.request else []), *exchange.answers]


def _line(record: Record) -> str:
    head = f"{record.at:7.3f} #{record.connection}"
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


def _text(message: Message) -> str:
    text = message.text.decode("utf-8", "backslashreplace")
    if message.type == "auth" and "token" in message.value:
        text = json.dumps({**message.value, "token": "***"}, separators=(",", ":"))
    text = _JWT.sub("***", text)
    text = text.encode("unicode_escape", "backslashreplace").decode() if not text.isprintable() else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(message.text)} bytes)"
