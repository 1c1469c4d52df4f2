"""The parts of forgeries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.forging import Materials, first_half, flip, look_alike
from cbspec.tokens.jwt import SigningKey, mint

KEY = SigningKey.hmac("hush")


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


def test_the_repr_of_materials_contains_no_token() -> None:
    claims = {"sub": "me"}
    made_of = Materials(mint(KEY, claims), KEY, claims, 1.0, "one", "fresh")
    assert made_of.valid not in repr(made_of)
    assert "'me'" not in repr(made_of)
