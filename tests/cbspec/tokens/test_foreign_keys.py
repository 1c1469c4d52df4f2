"""Foreign signatures are valid for the wrong key, so that a relay that trusts it accepts them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cbspec.tokens import foreign_keys as foreign
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import SigningKey, mint
from cbspec.tokens.keypair import new_pair

SECRET = SigningKey.hmac("hush")
PAIR = SigningKey.from_pem(new_pair("EdDSA"))
PEM = PAIR.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
VALID = CompactJws.split(mint(SECRET, {"sub": "me"}, {"kid": "theirs"}))


def test_an_embedded_key_verifies_its_token() -> None:
    made = foreign.with_public_key(VALID)
    jwk = jwt.get_unverified_header(made)["jwk"]
    assert set(jwk) & {"d", "p", "q"} == set()
    assert jwt.decode(made, jwt.PyJWK(jwk, "RS256").key, ["RS256"]) == {"sub": "me"}
    certified = foreign.with_certificate(VALID)
    public = x509.load_der_x509_certificate(
        base64.b64decode(jwt.get_unverified_header(certified)["x5c"][0])
    ).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert jwt.decode(certified, public, ["RS256"]) == {"sub": "me"}


def test_an_algorithm_without_keys_is_rejected() -> None:
    odd = CompactJws(b'{"alg":"none"}', b"{}", b"")
    with pytest.raises(ValueError, match="no key can be made for"):
        foreign.sign_alike(odd, "ours")


@pytest.mark.parametrize(
    ("made", "secret", "alg"),
    [
        (foreign.with_secret(VALID, "ours"), hashlib.sha256(b"ours").digest(), "HS256"),
        (foreign.with_key_path(VALID), b"", "HS256"),
        (foreign.confuse(PAIR, CompactJws.split(mint(PAIR, {"sub": "me"}))), PEM, "HS256"),
        (foreign.confuse(SECRET, VALID), b"hush", "RS256"),
    ],
    ids=["own secret", "empty file as key", "public key as secret", "secret as public key"],
)
def test_a_secret_of_the_attacker_signs_the_token(made: str, secret: bytes, alg: str) -> None:
    token = CompactJws.split(made)
    assert token.headers["alg"] == alg
    assert token.signature == hmac.digest(secret, token.signing_input, "sha256")


def test_the_header_names_the_key_of_the_attacker() -> None:
    jwk = CompactJws.split(foreign.with_secret(VALID, "ours")).headers["jwk"]
    assert isinstance(jwk, dict)
    assert base64.urlsafe_b64decode(jwk["k"] + "=") == hashlib.sha256(b"ours").digest()
    assert str(CompactJws.split(foreign.with_key_path(VALID)).headers["kid"]).endswith("/dev/null")
    assert ".invalid/" in str(CompactJws.split(foreign.with_key_address(VALID)).headers["jku"])
