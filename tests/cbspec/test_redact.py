"""Redaction of tokens in every spelling, in linear time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.redact import LONGEST, find_tokens, has_token, redact, redact_message
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling

TOKEN = mint(SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "user123", "tenant_id": "tenant-001", "exp": 1_900_000_000})


def is_redacted(shown: str) -> bool:
    """Return whether the text contains no segment of the token."""
    return not any(segment in shown for segment in TOKEN.split("."))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b'{"type":"auth", "token" : "sec\\"ret"}', '{"type":"auth", "token" : "<token>"}'),
        (b'{"type":"auth","token":"never ends', '{"type":"auth","token":"<token>"'),
        (b'{"type":"auth","token":7}', '{"type":"auth","token":7}'),
        (b'{"type":"auth","\\u0074oken":"secret"}', '{"type":"auth","token":"<token>"}'),
        (f"not JSON: {TOKEN}.".encode(), "not JSON: <token>."),
        (b'{"x":"\\u0065yJhbGciOi.eyJzdWIiOi.c2ln"}', '{"x":"<token>"}'),
        (f"its end: {TOKEN[TOKEN.index('.') - 9 :]}".encode(), "its end: <token>"),
        (f"its beginning: {TOKEN[:60]}".encode(), "its beginning: <token>"),
        (b'{"remote_host":"a-long-name.example-name"}', '{"remote_host":"a-long-name.example-name"}'),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b'{"type":"auth","\\u0074oken":"never ends', '{"type":"auth","token":"<token>"'),
        (b'not JSON: "\\u0065yJhbGciOi\\u002eeyJzdWIiOi.c2ln \\u00e4', 'not JSON: "<token> \\u00e4'),
    ],
)
def test_only_the_token_is_redacted(text: bytes, shown: str) -> None:
    assert redact_message(text) == shown


def test_tokens_are_found() -> None:
    text = f"x{TOKEN} {TOKEN[:30]} a.b.c {TOKEN}"
    assert find_tokens(text) == [TOKEN, TOKEN]
    assert redact(text, "***") == "*** *** a.b.c ***"
    assert [has_token(text) for text in (TOKEN, TOKEN[:30], "eyJ", "a.b.c")] == [True, True, False, False]


@given(SPELLINGS)
def test_every_spelling_of_a_token_is_redacted(spelling: Spelling) -> None:
    text = spelling.write({"type": "auth", "token": TOKEN, "x": ["y", TOKEN]}).encode()
    assert is_redacted(redact_message(text))


@given(st.integers(1, len(TOKEN) - 1))
def test_a_token_cut_in_two_shows_no_signature(at: int) -> None:
    signature = TOKEN.split(".")[2]
    for half in (TOKEN[:at], TOKEN[at:]):
        shown = redact_message(half.encode())
        assert signature not in shown or shown == signature


@given(st.integers(0, 2 * LONGEST), st.booleans())
def test_a_token_anywhere_in_a_long_text_is_redacted(at: int, escaped: bool) -> None:
    message = {"padding": "p " * (at // 2), "token": TOKEN, "more": "m" * LONGEST}
    text = json.dumps(message).encode()
    if escaped:
        text = text.replace(b'"token": "e', b'"tok\\u0065n": "\\u0065')
    assert is_redacted(redact_message(text))


@pytest.mark.parametrize("piece", [b"a", b"a.", b"aaaaaaaa.", b"eyJa.", b'"token":"', b'"token":', b"\\"])
def test_redaction_takes_linear_time(piece: bytes) -> None:
    began = time.process_time()
    redact_message((piece * LONGEST)[:LONGEST])
    redact_message(piece * 1_000_000)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("depth", [400, 1200])
def test_a_token_next_to_deep_nesting_is_redacted(depth: int) -> None:
    text = b'{"\\u0074oken":"secret","x":' + b"[" * depth + b"]" * depth + b"}"
    assert "secret" not in redact_message(text)
    assert "secret" not in redact_message(text[:-1])
