"""Changes of how input is read, and of the requests that are accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Message, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Authority
from cbspec_simulator.variations.parts import Change

Decode = Callable[[RawMessage, int], object]
Verify = Callable[[Authority, str, float], Claims]


def decoding(around: Callable[[Decode, RawMessage, int], object]) -> Change:
    """Decode input by a function of the previous decoding, the message and the maximum depth."""
    return lambda behaviour: replace(behaviour, decode=lambda frame, depth: around(behaviour.decode, frame, depth))


def verifying(around: Callable[[Verify, Authority, str, float], Claims]) -> Change:
    """Verify tokens by a function of the previous verification and its arguments."""
    return lambda behaviour: replace(
        behaviour, verify=lambda authority, token, now: around(behaviour.verify, authority, token, now)
    )


def accepts_repaired(repair: Callable[[bytes], bytes | None]) -> Change:
    """Accept input that isn't JSON: `repair` returns the JSON to read instead, or None."""

    def around(decode: Decode, frame: RawMessage, max_depth: int) -> object:
        try:
            return decode(frame, max_depth)
        except NotStrictJson:
            repaired = repair(frame.text)
            if repaired is None:
                raise
            return decode(RawMessage(repaired), max_depth)

    return decoding(around)


def misreads(change: Callable[[bytes], bytes]) -> Change:
    """Apply a function to each input text before it is decoded."""
    return decoding(lambda decode, frame, max_depth: decode(frame._replace(text=change(frame.text)), max_depth))


def unreadable(when: Callable[[bytes], bool]) -> Change:
    """Refuse valid input texts for which `when` is true."""
    return misreads(lambda text: b'{"type":""}' if when(text) else text)


def understands(around: Callable[[Callable[[object], Message | Violation], object], Message | Violation]) -> Change:
    """Interpret JSON values by a function of the previous interpretation and the value."""
    return lambda behaviour: replace(behaviour, understand=lambda value: around(behaviour.understand, value))


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

    def around(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
        if isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING)):
            value = {**value, member: by(value.get(member)) if callable(by) else by}
        return understand(value)

    return understands(around)


def refuses(kind: str, member: str, when: Test, code: ErrorCode) -> Change:
    """Refuse a request with another code if `when` is true of a member's value."""

    def around(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
        found = understand(value)
        hit = isinstance(value, dict) and value.get("type") == kind and when(value.get(member, MISSING))
        return replace(found, code=code) if hit and isinstance(found, Violation) else found

    return understands(around)
