"""Damage: what is drawn changes what it says that it changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from conformance.damage import CHANGES, NEAR_MISSES, Change, Literal, Slip, spell_with
from conformance.strategies import MISSING
from tests.conformance.build import TUNNEL


def test_a_member_is_replaced_spelled_or_left_out() -> None:
    request = {"a": 1, "b": "é"}
    assert spell_with(request, "a", MISSING) == '{"b":"é"}'.encode()
    assert spell_with(request, "a", Literal("1E0")) == '{"a":1E0,"b":"é"}'.encode()
    assert spell_with(request, "b", None) == b'{"a":1,"b":null}'


@pytest.mark.parametrize("requirement", NEAR_MISSES)
def test_near_misses_need_no_escapes(requirement: str) -> None:
    """An escape that a relay can't read would be blamed on the member."""

    @given(NEAR_MISSES[requirement].values)
    def check(value: object) -> None:
        assert b"\\" not in spell_with({"a": 1}, "a", value)

    check()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change("delete", 0.0, 0.0, b""), b"bcdef"),
        (Change("insert", 0.5, 0.5, b"X"), b"abcXdef"),
        (Change("replace", 0.5, 0.5, b"XY"), b"abcXYf"),
        (Change("double", 0.5, 0.5, b""), b"abcddef"),
        (Change("swap", 0.0, 0.9, b""), b"fbcdea"),
    ],
)
def test_changes_row_by_row(change: Change, text: bytes) -> None:
    assert change.apply(b"abcdef") == text


@given(CHANGES)
def test_changes_work_on_anything(changes: list[Change]) -> None:
    for text in (b"", b"{}", json.dumps(TUNNEL).encode()):
        for change in changes:
            text = change.apply(text)


@pytest.mark.parametrize(
    ("slip", "text"),
    [
        (Slip(0, "before", "//"), b'//{"a":[1,true]}'),
        (Slip(1, "for", "a"), b"{a:[1,true]}"),
        (Slip(4, "after", ","), b'{"a":[1,,true]}'),
        (Slip(6, "for", "True"), b'{"a":[1,True]}'),
        (Slip(9, "for", ""), b'{"a":[1,true]}'[1:]),
    ],
)
def test_slips_row_by_row(slip: Slip, text: bytes) -> None:
    assert slip.apply(b'{"a":[1,true]}') == text
