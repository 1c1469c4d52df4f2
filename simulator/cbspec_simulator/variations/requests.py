"""Changes of how input is read, and of the requests that are accepted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Message, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Authority
from cbspec_simulator.variations.parts import Change, around

Decode = Callable[[RawMessage, int], object]
Understand = Callable[[object], Message | Violation]
Verify = Callable[[Authority, str, float], Claims]


def accepts_repaired(repair: Callable[[bytes], bytes | None]) -> Change:
    """Accept input that isn't JSON: `repair` returns the JSON to read instead, or None, or raises any error."""

    def repaired(decode: Decode, frame: RawMessage, max_depth: int) -> object:
        try:
            return decode(frame, max_depth)
        except NotStrictJson:
            text = None
            with suppress(Exception):
                text = repair(frame.text)
            if text is None:
                raise
            return decode(RawMessage(text), max_depth)

    return around("decode", repaired)


def misreads(change: Callable[[bytes], bytes]) -> Change:
    """Apply a function to each input text before it is decoded."""
    return around("decode", lambda decode, frame, depth: decode(frame._replace(text=change(frame.text)), depth))


def unreadable(when: Callable[[bytes], bool]) -> Change:
    """Refuse valid input texts for which `when` is true."""
    return misreads(lambda text: b'{"type":""}' if when(text) else text)


MISSING: Any = object()
"""The value of a member that is absent."""

Test = Callable[[Any], bool]


def missing(value: object) -> bool:
    """Whether a member is absent."""
    return value is MISSING


def of_type(*types: type) -> Test:
    """Whether a value is of one of these types; a boolean is no number."""
    return lambda value: isinstance(value, types) and (bool in types or not isinstance(value, bool))


def accepts(kind: str, member: str, when: Test, by: object) -> Change:
    """Accept a request with a wrong member: read `by` if `when` is true of the value.

    A callable `by` is called with the value.
    """

    def accepted(understand: Understand, value: Any) -> Message | Violation:  # noqa: ANN401 - a JSON value
        if _has(value, kind, member, when):
            value = {**value, member: by(value.get(member)) if callable(by) else by}
        return understand(value)

    return around("understand", accepted)


def refuses(kind: str, member: str, when: Test, code: ErrorCode) -> Change:
    """Refuse a request with another code if `when` is true of a member's value."""

    def refused(understand: Understand, value: object) -> Message | Violation:
        found = understand(value)
        if isinstance(found, Violation) and _has(value, kind, member, when):
            return replace(found, code=code)
        return found

    return around("understand", refused)


def _has(value: object, kind: str, member: str, when: Test) -> bool:
    return isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING))
