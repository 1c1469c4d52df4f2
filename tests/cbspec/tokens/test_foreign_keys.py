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
VALID = CompactJws.split(mint(SECRET, {"sub": "me"}, {"kid": "theirs"}))


def test_an_embedded_public_key_verifies_its_token() -> None:
    made = foreign.with_public_key(VALID)
    header = jwt.get_unverified_header(made)
    assert set(header["jwk"]) & {"d", "p", "q"} == set()
    assert jwt.decode(made, jwt.PyJWK(header["jwk"], "RS256").key, ["RS256"]) == {"sub": "me"}


def test_an_embedded_certificate_verifies_its_token() -> None:
    made = foreign.with_certificate(VALID)
    der = base64.b64decode(jwt.get_unverified_header(made)["x5c"][0])
    public = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert jwt.decode(made, public, ["RS256"]) == {"sub": "me"}


def test_an_embedded_secret_verifies_its_token() -> None:
    made = CompactJws.split(foreign.with_secret(VALID, "ours"))
    jwk = made.headers["jwk"]
    assert isinstance(jwk, dict)
    raw = base64.urlsafe_b64decode(jwk["k"] + "=")
    assert raw == hashlib.sha256(b"ours").digest()
    assert made.signature == hmac.digest(raw, made.signing_input, "sha256")


def test_a_key_path_is_signed_with_an_empty_secret() -> None:
    made = CompactJws.split(foreign.with_key_path(VALID))
    assert str(made.headers["kid"]).endswith("/dev/null")
    assert made.signature == hmac.digest(b"", made.signing_input, "sha256")


def test_a_key_address_can_not_exist() -> None:
    assert jwt.get_unverified_header(foreign.with_key_address(VALID))["jku"].startswith("https://keys.cbspec.invalid/")


def test_a_public_key_is_used_as_a_secret() -> None:
    made = CompactJws.split(foreign.confuse(PAIR, CompactJws.split(mint(PAIR, {"sub": "me"}))))
    pem = PAIR.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert made.headers["alg"] == "HS256"
    assert made.signature == hmac.digest(pem, made.signing_input, "sha256")


def test_a_secret_is_used_as_a_key_pair() -> None:
    made = CompactJws.split(foreign.confuse(SECRET, VALID))
    assert made.headers == {"alg": "RS256", "typ": "JWT", "kid": "theirs"}
    assert made.signature == hmac.digest(b"hush", made.signing_input, "sha256")


def test_an_algorithm_without_keys_is_rejected() -> None:
    odd = CompactJws(b'{"alg":"none"}', b"{}", b"")
    with pytest.raises(ValueError, match="no key can be made for"):
        foreign.sign_alike(odd, "ours")
