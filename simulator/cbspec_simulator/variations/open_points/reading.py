"""Input: byte order marks, arrays, repeated and unknown members, case; and members of answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cbspec.protocol.framing import RawMessage, StreamFramer
from cbspec.protocol.messages import RULES, Message, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import AnswerContext, Body
from cbspec_simulator.variations.answers import answers
from cbspec_simulator.variations.parts import Change, both, framed, part
from cbspec_simulator.variations.requests import Decode, accepts_repaired, decoding, understands

_BOM = b"\xef\xbb\xbf"
_Pairs = list[tuple[str, Any]]


def _without_mark(text: bytes) -> bytes | None:
    return text[len(_BOM) :] if text.startswith(_BOM) else None


def _one_of_each(keep: Callable[[_Pairs], dict[str, Any]]) -> Change:
    """Accept an object with repeated members, and keep one of each."""

    def repair(text: bytes) -> bytes | None:
        twice = False

        def pairs(found: _Pairs) -> dict[str, Any]:
            nonlocal twice
            twice = twice or len(dict(found)) < len(found)
            return keep(found)

        try:
            value = json.loads(text.decode(), object_pairs_hook=pairs)
        except (ValueError, RecursionError):
            return None
        return json.dumps(value).encode() if twice else None

    return accepts_repaired(repair)


def _any_value(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    """Decode JSON values that aren't objects too."""
    try:
        return decode(frame, max_depth)
    except NotStrictJson:
        try:
            value = json.loads(frame.text)
        except (ValueError, RecursionError):
            value = {}
        if isinstance(value, dict):
            raise
        return value


Understand = Callable[[object], Message | Violation]


def _array_of_one(understand: Understand, value: object) -> Message | Violation:
    return understand(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _capitals(understand: Understand, value: object) -> Message | Violation:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(kind, str) and kind.lower() in RULES:
        value = {**value, "type": kind.lower()}
    return understand(value)


def _names_in_any_case(understand: Understand, value: object) -> Message | Violation:
    if isinstance(value, dict):
        value = {str(name).lower(): member for name, member in value.items()}
    return understand(value)


def _known_members_only(understand: Understand, value: object) -> Message | Violation:
    found = understand(value)
    if isinstance(found, Violation) or not isinstance(value, dict):
        return found
    rules = RULES[str(value["type"])]
    if set(value) <= {"type", *rules.members}:
        return found
    return Violation("CB-MSG-105", rules.refusal, "it has an unknown member")


class _OneALine(StreamFramer):
    """Takes a whole line as one message."""

    def __init__(self, **bounds: int) -> None:
        super().__init__(**bounds)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                super().feed((line if _is_one(line) else b"?") + b"\n")
        if len(self._rest) > self._max_message:
            super().feed(self._rest)


def _is_one(line: bytes) -> bool:
    """Whether a line is one JSON text, or doesn't begin with one."""
    try:
        text = line.decode().strip()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return end == len(text)


class _NoEmptyLines(StreamFramer):
    """Takes an empty line as an invalid message."""

    def __init__(self, **bounds: int) -> None:
        super().__init__(**bounds)
        self._ends_line = True

    def feed(self, data: bytes) -> None:
        empty = self._ends_line and data.startswith(b"\n")
        self._ends_line = data.endswith(b"\n")
        super().feed(b"?\n" + data.lstrip(b"\n") if empty else data)


def _text_frames_only(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    if frame.binary:
        raise NotStrictJson("it came in a binary frame")
    return decode(frame, max_depth)


def _tenant(body: Body, exchange: AnswerContext) -> Body:
    identity = exchange.connection.identity
    return {**body, "tenant_id": identity.tenant.id if identity else ""}


def _no_object(body: Body, exchange: AnswerContext) -> bool:
    return body.get("message") == "a message must be a JSON object"


CHANGES: dict[str, Change] = {
    "byte-order-mark-passed-over": accepts_repaired(_without_mark),
    "array-of-one-accepted": both(decoding(_any_value), understands(_array_of_one)),
    "other-values-close": both(
        decoding(_any_value),
        part(answers=lambda body, exchange: [] if _no_object(body, exchange) else [body], ends=_no_object),
    ),
    "last-of-two-members-counts": _one_of_each(dict),
    "first-of-two-members-counts": _one_of_each(lambda pairs: dict(reversed(pairs))),
    "one-message-a-line": framed(_OneALine),
    "empty-line-refused": framed(_NoEmptyLines),
    "unknown-members-refused": understands(_known_members_only),
    "member-names-in-any-case": understands(_names_in_any_case),
    "types-in-capitals": understands(_capitals),
    "tunnel-response-names-tenant": answers("tunnel_response", _tenant),
    "binary-frames-refused": decoding(_text_frames_only),
}
