"""Damage to requests."""

from __future__ import annotations

import pytest

from cbspec_conformance.properties.damage import (
    ByteChange,
    Literal,
    Slip,
    write_with,
)
from cbspec_conformance.properties.strategies import MISSING


def test_a_member_is_replaced_spelled_or_left_out() -> None:
    request = {"a": 1, "b": "é"}
    assert write_with(request, "a", MISSING) == '{"b":"é"}'.encode()
    assert write_with(request, "a", Literal("1E0")) == '{"a":1E0,"b":"é"}'.encode()
    assert write_with(request, "b", None) == b'{"a":1,"b":null}'


TEXT = b'{"a":[1,true]}'


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (ByteChange("delete", 0.0, 0.0, b""), b'"a":[1,true]}'),
        (ByteChange("insert", 0.5, 0.5, b"X"), b'{"a":[1X,true]}'),
        (ByteChange("replace", 0.5, 0.5, b"XY"), b'{"a":[1XYrue]}'),
        (ByteChange("double", 0.5, 0.5, b""), b'{"a":[1,,true]}'),
        (ByteChange("swap", 0.0, 0.9, b""), b']"a":[1,true{}'),
        (Slip(0, "before", "//"), b'//{"a":[1,true]}'),
        (Slip(1, "for", "a"), b"{a:[1,true]}"),
        (Slip(4, "after", ","), b'{"a":[1,,true]}'),
        (Slip(6, "for", "True"), b'{"a":[1,True]}'),
        (Slip(9, "for", ""), b'"a":[1,true]}'),
    ],
)
def test_damage_row_by_row(damage: ByteChange | Slip, text: bytes) -> None:
    assert damage.apply(TEXT) == text
    if isinstance(damage, ByteChange):
        damage.apply(b"")
