"""A token is taken apart and put together again, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import Compact, decode, encode
from cbspec.tokens.jwt import SigningKey, mint


@given(st.binary(), st.binary(), st.binary())
def test_apart_and_together(header: bytes, payload: bytes, signature: bytes) -> None:
    parts = Compact(header, payload, signature)
    assert Compact.split(str(parts)) == parts


@given(st.binary())
def test_padding_makes_no_difference_to_reading(data: bytes) -> None:
    segment = encode(data)
    assert "=" not in segment
    assert decode(segment) == decode(segment + "=" * (-len(segment) % 4)) == data


def test_signed_as_the_library_does() -> None:
    key = SigningKey.hmac("a secret of the tests")
    token = mint(key, {"sub": "ü"})
    parts = Compact.split(token)
    assert str(Compact.signed(parts.headers, parts.payload, key.sign)) == token
    assert parts.claims == {"sub": "ü"}


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c.d", "e30.e30.!", "e30.e30.A", "e30.e30.é"])
def test_what_is_no_token_is_not_taken_apart(token: str) -> None:
    with pytest.raises(
        ValueError, match=r"^the token hasn't three segments$|^a segment of the token is not base64url$"
    ):
        Compact.split(token)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_members_must_be_an_object(data: bytes) -> None:
    parts = Compact(data, data, b"")
    with pytest.raises(ValueError, match=r"^the token's header is not a JSON object$"):
        _ = parts.headers
    with pytest.raises(ValueError, match=r"^the token's payload is not a JSON object$"):
        _ = parts.claims


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Compact(b"secret", b"secret", b"secret"))
