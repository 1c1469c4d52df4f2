"""A token is accepted only with its key, its algorithm, and at its time; its compact serialization."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import LONGEST_NAME, CompactJws, claimed
from cbspec.tokens.jwt import ALGORITHMS, SigningKey, TokenRejected, Verifier, mint, new_pair, pem

NOW = 1_700_000_000.0
SECRET = "a secret of the tests, long enough for anyone"
KEY = SigningKey.hmac(SECRET)
CLAIMS = {"sub": "user123", "tenant_id": "tenant-001", "exp": NOW + 60}


@pytest.fixture(scope="module")
def keys() -> list[SigningKey]:
    rsa_pem = new_pair("RS256")
    return [
        *(SigningKey.hmac(SECRET, name) for name in ("HS256", "HS384", "HS512")),
        *(SigningKey.from_pem(rsa_pem, name) for name in ALGORITHMS if name[:2] in ("RS", "PS")),
        *(SigningKey.from_pem(new_pair(name)) for name in ("ES256", "ES384", "ES512", "EdDSA")),
    ]


def refusal(token: str, verifier: Verifier | None = None, now: float = NOW) -> str:
    with pytest.raises(TokenRejected) as caught:
        (verifier or Verifier(KEY)).verify(token, now)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def test_every_algorithm_verifies_its_own_tokens_and_no_others(keys: list[SigningKey]) -> None:
    assert [key.algorithm for key in keys] == list(ALGORITHMS)
    for signer in keys:
        assert repr(signer) == f"SigningKey(algorithm='{signer.algorithm}')"
        token = mint(signer, CLAIMS)
        for key in keys:
            if key is signer:
                assert Verifier(key).verify(token, NOW).tenant_id == "tenant-001"
            else:
                refusal(token, Verifier(key))


@given(st.floats(-1e9, 1e9), st.floats(0, 1e6), st.sampled_from(["exp", "nbf"]))
def test_times_are_compared_with_leeway(offset: float, leeway: float, name: str) -> None:
    token = mint(KEY, {name: NOW + offset})
    at = NOW + offset
    good = at + leeway > NOW if name == "exp" else at - leeway <= NOW
    verifier = Verifier(KEY, leeway=leeway)
    if good:
        assert verifier.verify(token, NOW).all == {name: at}
    else:
        assert "expired" in (reason := refusal(token, verifier)) or "isn't valid yet" in reason


@pytest.mark.parametrize("value", ['"1"', "null", "true", "[]", "NaN", "-Infinity", "1e400", "1" + 400 * "0"])
@pytest.mark.parametrize("name", ["exp", "nbf"])
def test_a_time_that_is_not_a_number_is_rejected(name: str, value: str) -> None:
    assert refusal(compact({"alg": "HS256"}, f'{{"{name}":{value}}}'.encode())) == f"its {name} is not a finite number"


def compact(header: object, payload: bytes) -> str:
    unsigned = CompactJws(json.dumps(header).encode(), payload, b"")
    return str(replace(unsigned, signature=KEY.sign(unsigned.signing_input)))


HEADERS: tuple[object, ...] = (
    *({"alg": alg} for alg in ("none", None, 256, ["HS256"], "HS384", "hs256")),
    {"alg": "HS256", "crit": ["x"], "x": 1},
    {"alg": "HS256", "b64": False, "crit": ["b64"]},
    *({}, [], "HS256"),
)
PAYLOADS = (b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"sub":1}', b'{"sub":null}', b"[" * 50_000)


def test_an_invalid_header_or_payload_is_rejected() -> None:
    for header in HEADERS:
        refusal(compact(header, b"{}"))
    for payload in PAYLOADS:
        refusal(compact({"alg": "HS256"}, payload))


@given(st.one_of(st.text(st.characters(exclude_categories=())), st.text("ey.AZaz09-_=", max_size=80)))
def test_any_text_is_rejected_without_repeating_it(text: str) -> None:
    assert refusal(text) in {"it isn't a JWT", "the header's algorithm isn't the key's"}


def test_issuer_and_audience_are_required_if_given() -> None:
    token = mint(KEY, {"iss": "a", "aud": ["b", "c"]})
    Verifier(KEY).verify(token, NOW)
    Verifier(KEY, issuer="a", audience="c").verify(token, NOW)
    assert "issuer" in refusal(token, Verifier(KEY, issuer="x"))
    assert "audience" in refusal(token, Verifier(KEY, audience="x"))
    assert "missing" in refusal(mint(KEY, {}), Verifier(KEY, issuer="x"))


@pytest.mark.parametrize(
    ("read", "data", "algorithm", "complaint"),
    [
        (SigningKey.hmac, "", "HS256", "the secret is empty"),
        (SigningKey.hmac, "x", "RS256", "a secret signs with HS256, HS384, HS512, not with RS256"),
        (SigningKey.hmac, new_pair("EdDSA").decode(), "HS256", "name it as a key file"),
        (SigningKey.from_pem, b"junk", None, "not an unencrypted private key in PEM form"),
        (SigningKey.from_pem, new_pair("ES256"), "HS256", "this key signs with ES256, not with HS256"),
        (SigningKey.from_pem, pem(ec.generate_private_key(ec.SECP256K1())), None, "tokens are signed with"),
        (SigningKey.from_pem, pem(rsa.generate_private_key(65537, 1024)), None, "2048 bits or more"),  # noqa: S505 - weak on purpose
    ],
)
def test_an_unusable_secret_or_key_is_rejected(
    read: Callable[..., SigningKey], data: object, algorithm: str | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(data, algorithm)


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
