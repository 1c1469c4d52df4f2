"""JSON Web Key Sets: reading, the choice of a token's key, and publishing."""

from __future__ import annotations

import hmac
import json
import re
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cbspec.tokens.jwks import KeySet, UnknownKey, key_id, public_jwk
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import ALGORITHMS, PublicKey, SigningKey, TokenRejected, Verifier, mint, new_pair, pem

NOW = 1_700_000_000.0
CLAIMS = {"sub": "user123", "tenant_id": "tenant-001", "exp": NOW + 60}

# Source: RFC 7638, 3.1, the key and its thumbprint.
RFC_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
    "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
    "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
    "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
}
RFC_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def signing(algorithm: str) -> SigningKey:
    return SigningKey.from_pem(new_pair(algorithm))


_RSA = new_pair("RS256")
PAIRS = [
    *(SigningKey.from_pem(_RSA, name) for name in ALGORITHMS if name[:2] in ("RS", "PS")),
    *map(signing, ("ES256", "ES384", "ES512", "EdDSA")),
    SigningKey.from_pem(pem(ed448.Ed448PrivateKey.generate())),
]
ES256, OTHER_ES256 = map(signing, ("ES256", "ES256"))
_EDDSA_PEM = new_pair("EdDSA")
EDDSA = SigningKey.from_pem(_EDDSA_PEM)


def published(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def without(jwk: dict[str, str], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def tenant(keys: KeySet, token: str) -> object:
    return Verifier(keys.choose).verify(token, NOW).tenant_id


def refusal(keys: KeySet, token: str) -> TokenRejected:
    with pytest.raises(TokenRejected) as caught:
        Verifier(keys.choose).verify(token, NOW)
    return caught.value


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.algorithm)
def test_a_published_key_verifies_the_tokens_of_its_pair(pair: SigningKey) -> None:
    jwk = public_jwk(pair)
    keys = KeySet.read(published(jwk))
    assert keys.skipped == ()
    assert jwk["kid"] == key_id(pair)
    assert jwk.keys() <= {"kty", "n", "e", "crv", "x", "y", "kid", "use", "alg"}
    assert tenant(keys, mint(pair, CLAIMS, {"kid": jwk["kid"]})) == "tenant-001"


def test_a_public_key_is_read_from_pem() -> None:
    pem = EDDSA.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="no public key"):
        public_jwk(SigningKey.hmac("a secret"))
    assert PublicKey.from_pem(pem).public == PublicKey.from_pem(_EDDSA_PEM).public == EDDSA.public
    with pytest.raises(ValueError, match="this key signs with EdDSA, not with ES256"):
        PublicKey.from_pem(pem, "ES256")


def test_the_default_id_is_the_rfcs_thumbprint() -> None:
    (key,) = KeySet.read(published(RFC_KEY)).keys
    assert key_id(SigningKey("RS256", None, key.public)) == RFC_THUMBPRINT


def test_the_key_id_chooses_among_several() -> None:
    named = ((ES256, "old"), (OTHER_ES256, "new"), (EDDSA, "x"), (EDDSA, "old"))  # two keys may share an id
    keys = KeySet.read(published(*(public_jwk(*each) for each in named)))
    for pair, id_ in named:
        assert tenant(keys, mint(pair, CLAIMS, {"kid": id_})) == "tenant-001"
    assert "signature" in refusal(keys, mint(ES256, CLAIMS, {"kid": "new"})).reason
    assert "algorithm isn't the key's" in refusal(keys, mint(ES256, CLAIMS, {"kid": "x"})).reason
    assert isinstance(refusal(keys, mint(ES256, CLAIMS, {"kid": "newer"})), UnknownKey)


def test_without_a_key_id_only_one_key_may_have_the_algorithm() -> None:
    jwks = [public_jwk(ES256, "old"), public_jwk(OTHER_ES256, "new"), without(public_jwk(EDDSA), "kid")]
    keys = KeySet.read(published(*jwks))
    assert tenant(keys, mint(EDDSA, CLAIMS)) == "tenant-001"
    several = refusal(keys, mint(ES256, CLAIMS))
    assert several.reason == "it names no key, and several are for its algorithm"
    assert not isinstance(several, UnknownKey)
    assert isinstance(refusal(keys, mint(PAIRS[0], CLAIMS)), UnknownKey)


def test_hmac_and_none_are_rejected() -> None:
    jwk = public_jwk(ES256, "k")
    keys = KeySet.read(published(jwk))
    payload = json.dumps(CLAIMS).encode()
    for header in ({"alg": "HS256", "kid": "k"}, {"alg": "none", "kid": "k"}, {"alg": "HS256"}, {"alg": "none"}):
        token = str(CompactJws.signed(header, payload, partial(hmac.digest, json.dumps(jwk).encode(), digest="sha256")))
        assert not isinstance(refusal(keys, token), UnknownKey)
        refusal(keys, str(CompactJws.signed(header, payload, lambda _: b"")))
    assert refusal(keys, "no token").reason == "it isn't a JWT"


_GOOD = public_jwk(ES256, "k")
_WEAK = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key()))  # noqa: S505 - weak on purpose


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (7, "it is not a JSON object"),
        ({}, "its kty is not one of RSA, EC, OKP"),
        ({**_GOOD, "kid": 1}, "its kid is not a string"),
        ({**_GOOD, "key_ops": "verify"}, "its key_ops is not an array"),
        (without(_GOOD, "x"), "it lacks the string x"),
        ({**_GOOD, "x": _GOOD["y"]}, "its crv, x, y are not a key"),
        ({**public_jwk(EDDSA), "crv": "X25519"}, "its crv, x are not a key"),
        ({**_GOOD, "alg": "HS256"}, "its alg is not one of the key (ES256)"),
        ({**_GOOD, "alg": ["ES256"]}, "its alg is not"),
        (without(_WEAK, "key_ops"), "2048 bits or more, this one has 1024"),
    ],
)
def test_an_unusable_key_is_skipped_with_a_reason(member: object, reason: str) -> None:
    keys = KeySet.read(json.dumps({"keys": [member, public_jwk(EDDSA)]}).encode())
    assert [key.algorithm for key in keys.keys] == ["EdDSA"]
    (skipped,) = keys.skipped
    assert skipped.startswith("key 1")
    assert reason in skipped
    with pytest.raises(ValueError, match="no key in it verifies signatures; key 1"):
        KeySet.read(json.dumps({"keys": [member]}).encode())


@pytest.mark.parametrize("change", [{"use": "enc"}, {"key_ops": []}])
def test_a_key_for_another_use_is_ignored(change: dict[str, object]) -> None:
    keys = KeySet.read(published({**_GOOD, **change}, public_jwk(EDDSA)))
    assert ([key.algorithm for key in keys.keys], keys.skipped) == (["EdDSA"], ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (published(public_jwk(EDDSA), {"kty": "oct", "k": "hush", "kid": "s"}), "key 2 (kid s) is a secret (kty oct)"),
        (published({"kty": "oct", "k": "hush", "kid": "x" * 65}), "key 1 is a secret (kty oct)"),
        (published({**_GOOD, "d": "hush", "use": "enc"}), "key 1 (kid k) is a private key (d)"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"keys":{}}', "it is not a JWKS"),
    ],
)
def test_a_secret_or_another_text_is_rejected(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        KeySet.read(text)
    assert "hush" not in str(caught.value)


def test_keys_of_one_set_are_distinguished() -> None:
    keys = KeySet.read(published(RFC_KEY, *(public_jwk(pair, "k") for pair in (ES256, OTHER_ES256, EDDSA))))
    assert [key.algorithm for key in keys.keys] == ["RS256", "ES256", "EdDSA"]
    assert keys.skipped == ("key 3 (kid k) is skipped: an earlier key has its kid and algorithm",)
    assert repr(keys.holding(ES256)) == "PublicKey(algorithm='ES256', key_id='k')"
    assert keys.holding(OTHER_ES256) is None
