"""The ways of making forgeries change what they say and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.forging import MISSING, Materials, flip, look_alike
from cbspec.tokens.jwt import SigningKey, Verifier, mint

KEY = SigningKey.hmac("hush")
CLAIMS = {"sub": "me", "tenant_id": "one"}


def materials(valid: str) -> Materials:
    return Materials(valid, KEY, CLAIMS, 1_700_000_000.9, "one", "fresh")


@given(st.binary(min_size=1), st.data())
def test_a_flip_changes_one_bit_and_twice_none(data: bytes, draw: st.DataObject) -> None:
    index = draw.draw(st.integers(-len(data), len(data) - 1))
    flipped = flip(data, index)
    difference = int.from_bytes(data, "big") ^ int.from_bytes(flipped, "big")
    assert difference.bit_count() == 1
    assert flip(flipped, index) == data


@given(st.text())
def test_a_look_alike_is_another_name(name: str) -> None:
    assert look_alike(name) != name


def test_claims_are_changed_added_and_left_out() -> None:
    made = materials("x").remint({"sub": MISSING, "tenant_id": "two", "nbf": 0})
    assert Verifier(KEY).verify(made, 0).all == {"tenant_id": "two", "nbf": 0}


def test_time_is_counted_in_whole_seconds() -> None:
    made_of = materials("x")
    assert (made_of.in_seconds(-660), made_of.in_seconds(0)) == (1_699_999_340, 1_700_000_000)


def test_segments_are_three_or_none() -> None:
    valid = mint(KEY, CLAIMS)
    assert ".".join(materials(valid).segments) == valid
    with pytest.raises(ValueError, match="three segments"):
        _ = materials("opaque").segments
