"""Transcripts as rows of JSON, without tokens: texts are redacted, and bytes on the wire are left out.

A text of more than 4 KiB is cut. The facts that can't be computed from redacted or cut texts are part of the
`Concluded` records, and unreadable messages keep the fault that was found in the full bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from cbspec.redact import LONGEST, redact, redact_message
from cbspec_conformance.record.conclusions import Blamed, CaseEnded, Concluded, Judged, Observed, TriedAgain
from cbspec_conformance.record.decoding import Decoded, decode
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
    cut,
)

RECORDS: Final[dict[str, Any]] = {
    record.__name__: record
    for record in (Opened, Failed, Ended, Waited, Concluded, Judged, Blamed, Observed, CaseEnded, TriedAgain)
}
"""The kinds of records that are saved as they are; bytes and messages have forms of their own."""


class TranscriptError(ValueError):
    """A saved transcript can't be read; the text says why."""


def rows_of(transcript: Transcript) -> list[dict[str, Any]]:
    """Return the records as JSON objects."""
    return [_row(record) for record in transcript.records]


def transcript_of(rows: Iterable[Mapping[str, Any]]) -> Transcript:
    """Return the transcript that `rows_of` wrote. Raises TranscriptError."""
    transcript = Transcript(epoch=0.0)
    for number, row in enumerate(rows):
        try:
            transcript.records.append(_record(row))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TranscriptError(f"record {number} is invalid: {error!r}") from None
    return transcript


def _row(record: Record) -> dict[str, Any]:
    if isinstance(record, Bytes):
        head = {"record": "Bytes", "at": record.at, "connection": record.connection}
        return {**head, "direction": record.direction, "size": len(record.data)}
    if isinstance(record, Message):
        return _message_row(record)
    row = {"record": type(record).__name__, **msgspec.to_builtins(record)}
    return {name: _redacted(value) for name, value in row.items() if value not in ("", [], None)}


def _redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {name: _redacted(inner) for name, inner in value.items()}
        case list():
            return [_redacted(inner) for inner in value]
        case str():
            return redact(value)
    return value


def _message_row(message: Message) -> dict[str, Any]:
    received = message.direction is Direction.RECEIVED
    unreadable = received and bool(message.decoded.requirement)
    text, value, is_long = redact_message(message.text), None, message.cut or len(message.text) > LONGEST
    try:
        if is_long or not received or unreadable or text.encode(errors="replace") != message.text:
            value = json.loads(redact_message(json.dumps(message.value, ensure_ascii=False).encode()))
            if received and not unreadable:
                value = None if decode(text.encode()).value == value else value
    except (ValueError, RecursionError):  # too long, nested too deep, or a number of too many digits
        is_long = True
    # A fault quotes the full bytes.
    if is_long or (unreadable and text.encode(errors="replace") != message.text):
        message = cut(message)
        value = message.value
    row = {
        "record": "Message",
        "at": message.at,
        "connection": message.connection,
        "direction": message.direction,
        "text": text,
        "value": value,
        "requirement": message.decoded.requirement,
        "fault": redact(message.decoded.fault),
        "binary": message.binary,
        "meant": message.meant,
        "padded": message.padded,
        "cut": message.cut,
    }
    return {name: each for name, each in row.items() if each not in ("", None) and each is not False}


def _record(row: Mapping[str, Any]) -> Record:
    match row["record"]:
        case "Bytes":
            return Bytes(row["at"], row["connection"], Direction(row["direction"]), b"")
        case "Message":
            return _message(row)
        case kind:
            record: Record = msgspec.convert(row, RECORDS[kind])
            return record


def _message(row: Mapping[str, Any]) -> Message:
    text, direction = row.get("text", "").encode("utf-8", "surrogatepass"), Direction(row["direction"])
    decoded = Decoded(row.get("value"), row.get("requirement", ""), row.get("fault", ""))
    if direction is Direction.RECEIVED and "value" not in row and not decoded.requirement:
        decoded = replace(decoded, value=decode(text).value)
    flags = {name: row.get(name, False) for name in ("binary", "padded", "cut")}
    return Message(row["at"], row["connection"], direction, text, decoded, meant=row.get("meant", ""), **flags)
