"""What is understood: marks, arrays, members given twice or unknown, capitals; and what stands in answers besides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cbspec.protocol.framing import Frame, StreamFramer
from cbspec.protocol.messages import RULES, Message, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, both, part, put, takes
from cbspec_simulator.variations.open_points.kind import OpenPoint

_BOM = b"\xef\xbb\xbf"
_Pairs = list[tuple[str, Any]]


def _behind_mark(text: bytes) -> bytes | None:
    return text[len(_BOM) :] if text.startswith(_BOM) else None


def _one_of_each(keep: Callable[[_Pairs], dict[str, Any]]) -> Change:
    """Take an object with members given twice, and keep one of each."""

    def mend(text: bytes) -> bytes | None:
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

    return takes(mend)


def _any_value(behaviour: Behaviour) -> Behaviour:
    """Read JSON that is no object, too; what it means is decided behind it."""

    def decode(frame: Frame, max_depth: int) -> object:
        try:
            return behaviour.decode(frame, max_depth)
        except NotStrictJson:
            try:
                value = json.loads(frame.text)
            except (ValueError, RecursionError):
                value = {}
            if isinstance(value, dict):
                raise
            return value

    return replace(behaviour, decode=decode)


def _array_of_one(behaviour: Behaviour) -> Behaviour:
    def understand(value: object) -> Message | Violation:
        return behaviour.understand(value[0] if isinstance(value, list) and len(value) == 1 else value)

    return replace(behaviour, understand=understand)


def _capitals(behaviour: Behaviour) -> Behaviour:
    def understand(value: object) -> Message | Violation:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(kind, str) and kind.lower() in RULES:
            value = {**value, "type": kind.lower()}
        return behaviour.understand(value)

    return replace(behaviour, understand=understand)


def _names_in_any_case(behaviour: Behaviour) -> Behaviour:
    def understand(value: object) -> Message | Violation:
        if isinstance(value, dict):
            value = {str(name).lower(): member for name, member in value.items()}
        return behaviour.understand(value)

    return replace(behaviour, understand=understand)


def _known_members_only(behaviour: Behaviour) -> Behaviour:
    def understand(value: object) -> Message | Violation:
        found = behaviour.understand(value)
        if isinstance(found, Violation) or not isinstance(value, dict):
            return found
        rules = RULES[str(value["type"])]
        if set(value) <= {"type", *rules.members}:
            return found
        return Violation("CB-MSG-105", rules.refusal, "it has a member that isn't known")

    return replace(behaviour, understand=understand)


class _OneALine(StreamFramer):
    """Takes a whole line for a message, whatever stands on it."""

    __slots__ = ("_rest",)

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
    """Say whether a line is one JSON text, or none that begins with one."""
    try:
        text = line.decode().strip()
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return end == len(text)


class _NoEmptyLines(StreamFramer):
    """Takes a line feed where a message should begin for a message that is none."""

    __slots__ = ("_ends_line",)

    def __init__(self, **bounds: int) -> None:
        super().__init__(**bounds)
        self._ends_line = True

    def feed(self, data: bytes) -> None:
        empty = self._ends_line and data.startswith(b"\n")
        self._ends_line = data.endswith(b"\n")
        super().feed(b"?\n" + data.lstrip(b"\n") if empty else data)


def _framed(make: type[StreamFramer]) -> Change:
    def stream(limits: LimitSettings) -> StreamFramer:
        return make(max_message=limits.max_message, max_depth=limits.max_depth)

    return part(stream=stream)


def _text_frames_only(behaviour: Behaviour) -> Behaviour:
    def decode(frame: Frame, max_depth: int) -> object:
        if frame.binary:
            raise NotStrictJson("it came in a binary frame")
        return behaviour.decode(frame, max_depth)

    return replace(behaviour, decode=decode)


def _tenant(body: Body, exchange: AnswerContext) -> Body:
    identity = exchange.connection.identity
    return {**body, "tenant_id": identity.tenant.id if identity else ""}


def _no_object(body: Body, exchange: AnswerContext) -> bool:
    return body.get("message") == "a message must be a JSON object"


OPEN_POINTS = (
    OpenPoint(
        "byte-order-mark-passed-over",
        "CB-MSG-102",
        "A byte order mark before a message is passed over.",
        takes(_behind_mark),
    ),
    OpenPoint(
        "array-of-one-accepted",
        "CB-MSG-101",
        "An array that holds one message is taken for the message.",
        both(_any_value, _array_of_one),
    ),
    OpenPoint(
        "other-values-close",
        "CB-MSG-101",
        "The connection is closed behind JSON that is no object.",
        both(
            _any_value,
            part(answers=lambda body, exchange: [] if _no_object(body, exchange) else [body], ends=_no_object),
        ),
    ),
    OpenPoint(
        "last-of-two-members-counts",
        "CB-MSG-104",
        "Of a member that is given twice the last one counts.",
        _one_of_each(dict),
    ),
    OpenPoint(
        "first-of-two-members-counts",
        "CB-MSG-104",
        "Of a member that is given twice the first one counts.",
        _one_of_each(lambda pairs: dict(reversed(pairs))),
    ),
    OpenPoint(
        "one-message-a-line",
        "CB-MSG-103",
        "A line is one message: more than one object on it is refused, and without a line feed it isn't read.",
        _framed(_OneALine),
        transport="tcp",
    ),
    OpenPoint(
        "empty-line-refused",
        "CB-MSG-107",
        "An empty line is taken for a message and refused.",
        _framed(_NoEmptyLines),
        transport="tcp",
    ),
    OpenPoint(
        "unknown-members-refused",
        "CB-MSG-105",
        "A message with a member that the specification doesn't name is refused.",
        _known_members_only,
    ),
    OpenPoint(
        "member-names-in-any-case",
        "CB-MSG-108",
        "The names of members may be in any case.",
        _names_in_any_case,
    ),
    OpenPoint(
        "types-in-capitals",
        "CB-UNK-101",
        "A message's type may be in capital letters.",
        _capitals,
    ),
    OpenPoint(
        "tunnel-response-names-tenant",
        "CB-MSG-106",
        "The tunnel_response has the tenant_id, too.",
        answers("tunnel_response", _tenant),
    ),
    OpenPoint(
        "errors-carry-details",
        "CB-MSG-106",
        "Every error says besides whether it makes sense to try again.",
        answers("error", put("retryable", False)),
    ),
    OpenPoint(
        "binary-frames-refused",
        "CB-WSK-102",
        "A message in a binary frame is refused.",
        _text_frames_only,
    ),
)
