"""The parts of forgeries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.forging import MISSING, Materials, first_half, flip, look_alike
from cbspec.tokens.jwt import SigningKey, Verifier, mint

KEY = SigningKey.hmac("hush")
CLAIMS = {"sub": "me", "tenant_id": "one"}


def materials(valid: str) -> Materials:
    return Materials(valid, KEY, CLAIMS, 1_700_000_000.9, "one", "fresh")


@given(st.binary(min_size=1), st.data())
def test_a_flip_inverts_one_bit(data: bytes, draw: st.DataObject) -> None:
    index = draw.draw(st.integers(-len(data), len(data) - 1))
    flipped = flip(data, index)
    assert (int.from_bytes(data, "big") ^ int.from_bytes(flipped, "big")).bit_count() == 1
    assert flip(flipped, index) == data


@given(st.text(min_size=1))
def test_a_changed_name_is_another_name(name: str) -> None:
    assert look_alike(name) != name
    assert first_half(name) not in ("", name)


def test_claims_are_changed_added_and_omitted() -> None:
    made = materials("x").remint({"sub": MISSING, "tenant_id": "two", "nbf": 0})
    assert Verifier(KEY).verify(made, 0).all == {"tenant_id": "two", "nbf": 0}


def test_times_are_whole_seconds() -> None:
    assert (materials("x").in_seconds(-660), materials("x").in_seconds(0)) == (1_699_999_340, 1_700_000_000)


def test_a_token_has_three_segments() -> None:
    valid = mint(KEY, CLAIMS)
    assert ".".join(materials(valid).segments) == valid
    with pytest.raises(ValueError, match="three segments"):
        _ = materials("opaque").segments


def test_the_repr_of_materials_contains_no_token() -> None:
    made_of = materials(mint(KEY, CLAIMS))
    assert made_of.valid not in repr(made_of)
    assert "'me'" not in repr(made_of)
