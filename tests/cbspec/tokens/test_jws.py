"""The JWS compact serialization."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import LONGEST_NAME, CompactJws, claimed
from cbspec.tokens.jwt import SigningKey, mint

KEY = SigningKey.hmac("a secret of the tests")


@given(st.binary(), st.binary(), st.binary())
def test_encoded_segments_are_decoded_as_they_were(header: bytes, payload: bytes, signature: bytes) -> None:
    parts = CompactJws(header, payload, signature)
    assert CompactJws.split(str(parts)) == parts


@pytest.mark.parametrize("token", ["a.b", "a.b.c.d", "e30.e30.!", "e30.e30.A", "e30.e30.é"])
def test_other_texts_are_rejected(token: str) -> None:
    with pytest.raises(
        ValueError, match=r"^(the token hasn't three segments|a segment of the token is not base64url)$"
    ):
        CompactJws.split(token)
    assert claimed(token) == ("", "")


@pytest.mark.parametrize("data", [b"[]", b"\xff", b"[" * 100_000])
def test_header_and_payload_must_be_objects(data: bytes) -> None:
    parts = CompactJws(data, data, b"")
    with pytest.raises(ValueError, match=r"^the token's header is not a JSON object$"):
        _ = parts.headers
    with pytest.raises(ValueError, match=r"^the token's payload is not a JSON object$"):
        _ = parts.claims


def test_claimed_names_are_shortened() -> None:
    assert claimed(mint(KEY, {"tenant_id": "t" * 999, "sub": "\ud800"})) == ("t" * LONGEST_NAME, "?")
    assert claimed(mint(KEY, {"tenant_id": 7})) == ("", "")
