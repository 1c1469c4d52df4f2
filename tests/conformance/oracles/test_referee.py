"""The referee: what it calls broken is broken, whoever reads it; what is valid it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

import cbspec_schemas
from cbspec.protocol.strictjson import NotStrictJson, loads
from cbspec_conformance.oracles.referee import broken_members, is_closed, is_no_message
from cbspec_conformance.oracles.rfc8259 import NotJson
from cbspec_conformance.properties.damage import CHANGES, NEAR_MISSES, SLIPS, ByteChange, Slip, spell_with
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from tests.conformance.build import REQUESTS


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@given(spelling=SPELLINGS)
def test_what_is_valid_is_left_alone(request_: dict[str, Any], spelling: Spelling) -> None:
    text = spelling.write(request_).encode()
    assert broken_members(text) == set()
    assert not is_no_message(text)
    assert is_closed(text)


@pytest.mark.parametrize("requirement", NEAR_MISSES)
def test_every_near_miss_is_one_for_the_referee_and_breaks_its_own_requirement(requirement: str) -> None:
    miss = NEAR_MISSES[requirement]

    @given(miss.values)
    def check(value: object) -> None:
        text = spell_with(REQUESTS[miss.kind], miss.member, value)
        assert broken_members(text) == {miss.member}
        found = {each.requirement for each in cbspec_schemas.violations("client", json.loads(text))}
        assert found <= {requirement, "CB-AUT-014"}

    check()


@pytest.mark.parametrize("text", [b"[]", b'{"type":"error"}', b"{}", b'{"type":1}'])
def test_what_is_no_request_has_no_members_to_break(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a request"):
        broken_members(text)


def test_what_is_not_json_is_said_to_be_that() -> None:
    with pytest.raises(NotJson):
        broken_members(b'{"type":"hello"')


@given(spelling=SPELLINGS, slip=SLIPS)
def test_what_a_slip_left_legal_is_no_damage(spelling: Spelling, slip: Slip) -> None:
    _agree(slip.apply(spelling.write(REQUESTS["tunnel_info"]).encode()))


@given(spelling=SPELLINGS, changes=CHANGES)
def test_what_a_change_left_legal_is_no_damage(spelling: Spelling, changes: list[ByteChange]) -> None:
    text = spelling.write(REQUESTS["heartbeat"]).encode()
    for change in changes:
        text = change.apply(text)
    _agree(text)


def _agree(text: bytes) -> None:
    """See that what the referee calls no message is none for the relay's own decoder."""
    if is_no_message(text):
        with pytest.raises(NotStrictJson):
            loads(text)


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
