"""The referee: it agrees with the schemas and the relay's decoder, and accepts every valid text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

import cbspec_schemas
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.oracles.referee import broken_members, is_closed, is_no_message
from cbspec_conformance.properties.damage import (
    CHANGES,
    NEAR_MISSES,
    SLIPS,
    ByteChange,
    Slip,
    is_beyond_readers,
    write_with,
)
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from tests.conformance.build import REQUESTS


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@given(spelling=SPELLINGS)
def test_valid_requests_are_accepted(request_: dict[str, Any], spelling: Spelling) -> None:
    text = spelling.write(request_).encode()
    assert (broken_members(text), is_no_message(text), is_closed(text)) == (set(), False, True)


@pytest.mark.parametrize("requirement", NEAR_MISSES)
def test_every_near_miss_breaks_its_own_requirement_only(requirement: str) -> None:
    miss = NEAR_MISSES[requirement]

    @given(miss.values)
    def check(value: object) -> None:
        text = write_with(REQUESTS[miss.kind], miss.member, value)
        assert b"\\" not in text  # no escapes, which a relay may not understand, and no other number that is too large
        numbers: list[int] = []
        json.loads(text, parse_int=lambda digits: numbers.append(int(digits)))
        assert is_beyond_readers(value) == any(is_beyond_readers(number) for number in numbers)
        assert broken_members(text) == {miss.member}
        found = {each.requirement for each in cbspec_schemas.violations("client", json.loads(text))}
        assert found <= {requirement, "CB-AUT-014"}

    check()


def test_a_text_without_a_request_has_no_members_to_break() -> None:
    for text, error in ((b"[]", ValueError), (b'{"type":"error"}', ValueError), (b'{"type":"hello"', ValueError)):
        with pytest.raises(error):
            broken_members(text)


@given(spelling=SPELLINGS, slip=SLIPS, changes=CHANGES)
def test_the_referee_agrees_with_the_decoder(spelling: Spelling, slip: Slip, changes: list[ByteChange]) -> None:
    text = spelling.write(REQUESTS["heartbeat"]).encode()
    for change in changes:
        text = change.apply(text)
    for damaged in (text, slip.apply(spelling.write(REQUESTS["tunnel_info"]).encode())):
        if is_no_message(damaged):
            with pytest.raises(NotStrictJson):
                loads(damaged)


@pytest.mark.parametrize(
    ("text", "is_none"),
    [
        (b'{"type":"heartbeat",}', True),
        (b'{"type":"heart\xffbeat"}', True),
        (b'{"type":"heartbeat"', True),
        (b'{"type":"heartbeat"}}', False),
        (b'x{"type":"heartbeat"}', False),
        (b'{"type":"heart\nbeat"}', False),
        (b'\xef\xbb\xbf{"type":"heartbeat",}', False),
        (b" \t", False),
    ],
)
def test_no_message_row_by_row(text: bytes, is_none: bool) -> None:
    assert is_no_message(text) == is_none


@pytest.mark.parametrize(
    ("text", "closed"),
    [(b"{}", True), (b'{"a}', False), (b'{"a\\""}', True), (b"{[}", False), (b"x", True), (b'{"{"}', True)],
)
def test_closed_row_by_row(text: bytes, closed: bool) -> None:
    assert is_closed(text) == closed


def test_an_object_too_deep_for_our_reader_is_no_error() -> None:
    deep = b'{"a":' + 100_000 * b"["
    assert isinstance(is_no_message(b"x" + deep), bool)
