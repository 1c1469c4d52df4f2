"""No token in what is shown, however it is spelt; and no time lost on texts made to lose it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.redact import LONGEST, mask
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling

TOKEN = mint(SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "user123", "tenant_id": "tenant-001", "exp": 1_900_000_000})


def hidden(shown: str) -> bool:
    """Say whether none of the token's segments is there."""
    return not any(segment in shown for segment in TOKEN.split("."))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b'{"type":"heartbeat"}', '{"type":"heartbeat"}'),
        (b'{"type":"auth","token":"secret"}', '{"type":"auth","token":"<token>"}'),
        (b'{"type":"auth", "token" : "sec\\"ret"}', '{"type":"auth", "token" : "<token>"}'),
        (b'{"type":"auth","token":"never ends', '{"type":"auth","token":"<token>"'),
        (b'{"type":"auth","token":7}', '{"type":"auth","token":7}'),
        (b'{"type":"auth","\\u0074oken":"secret"}', '{"type":"auth","token":"<token>"}'),
        (f"not JSON: {TOKEN}.".encode(), "not JSON: <token>."),
        (b'{"x":"\\u0065yJhbGciOi.eyJzdWIiOi.c2ln"}', '{"x":"<token>"}'),
        (f"its end: {TOKEN[TOKEN.index('.') - 9 :]}".encode(), "its end: <token>"),
        (f"its end: {TOKEN[TOKEN.index('.') + 9 :]}".encode(), "its end: <token>"),
        (f"its beginning: {TOKEN[:60]}".encode(), "its beginning: <token>"),
        (b'{"remote_host":"a-long-name.example-name"}', '{"remote_host":"a-long-name.example-name"}'),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b'{"x":"\\u00e4"}', '{"x":"\\u00e4"}'),
        (b'{"type":"auth","\\u0074oken":"never ends', '{"type":"auth","token":"<token>"'),
        (b'not JSON: "\\u0065yJhbGciOi\\u002eeyJzdWIiOi.c2ln \\u00e4', 'not JSON: "<token> \\u00e4'),
    ],
)
def test_only_the_token_is_gone(text: bytes, shown: str) -> None:
    assert mask(text) == shown


@given(SPELLINGS)
def test_no_spelling_shows_a_token(spelling: Spelling) -> None:
    text = spelling.write({"type": "auth", "token": TOKEN, "x": ["y", TOKEN]}).encode()
    assert hidden(mask(text))


@given(st.integers(1, len(TOKEN) - 1))
def test_no_line_feed_in_a_token_shows_its_signature(at: int) -> None:
    signature = TOKEN.split(".")[2]
    for half in (TOKEN[:at], TOKEN[at:]):
        shown = mask(half.encode())
        assert signature not in shown or shown == signature


@given(st.integers(0, 2 * LONGEST), st.booleans())
def test_no_place_in_a_long_text_shows_a_token(at: int, escaped: bool) -> None:
    message = {"padding": "p " * (at // 2), "token": TOKEN, "more": "m" * LONGEST}
    text = json.dumps(message).encode()
    if escaped:
        text = text.replace(b'"token": "e', b'"tok\\u0065n": "\\u0065')
    assert hidden(mask(text))


@pytest.mark.parametrize("piece", [b"a", b"a.", b"aaaaaaaa.", b'"token":"', b'"token":', b"\\", b'"token":"\\', b" "])
def test_time_grows_no_faster_than_the_text(piece: bytes) -> None:
    began = time.process_time()
    mask((piece * LONGEST)[:LONGEST])
    mask(piece * 1_000_000)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("depth", [400, 600, 990, 1200])
def test_what_nests_deep_hides_no_token_either(depth: int) -> None:
    text = b'{"\\u0074oken":"secret","x":' + b"[" * depth + b"]" * depth + b"}"
    assert "secret" not in mask(text)
    assert "secret" not in mask(text[:-1])
