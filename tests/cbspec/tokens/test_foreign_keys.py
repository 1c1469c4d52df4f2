"""What an outsider signs is really signed, so that whoever trusts the wrong thing accepts it."""

from __future__ import annotations

import base64
import hashlib
import hmac

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cbspec.tokens import foreign_keys as outsiders
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import SigningKey, mint

SECRET = SigningKey.hmac("hush")
PAIR = SigningKey.from_pem(
    ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
)
VALID = Compact.split(mint(SECRET, {"sub": "me"}, {"kid": "theirs"}))


def test_an_embedded_public_key_verifies_its_token() -> None:
    made = outsiders.with_public_key(VALID)
    header = jwt.get_unverified_header(made)
    assert set(header["jwk"]) & {"d", "p", "q"} == set()
    assert jwt.decode(made, jwt.PyJWK(header["jwk"], "RS256").key, ["RS256"]) == {"sub": "me"}


def test_an_embedded_certificate_verifies_its_token() -> None:
    made = outsiders.with_certificate(VALID)
    der = base64.b64decode(jwt.get_unverified_header(made)["x5c"][0])
    public = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert jwt.decode(made, public, ["RS256"]) == {"sub": "me"}


def test_an_embedded_secret_verifies_its_token() -> None:
    made = Compact.split(outsiders.with_secret(VALID, "ours"))
    jwk = made.headers["jwk"]
    assert isinstance(jwk, dict)
    raw = base64.urlsafe_b64decode(jwk["k"] + "=")
    assert raw == hashlib.sha256(b"ours").digest()
    assert made.signature == hmac.digest(raw, made.signing_input, "sha256")


def test_a_key_path_goes_with_the_empty_files_secret() -> None:
    made = Compact.split(outsiders.with_key_path(VALID))
    assert str(made.headers["kid"]).endswith("/dev/null")
    assert made.signature == hmac.digest(b"", made.signing_input, "sha256")


def test_a_key_address_can_be_nowhere() -> None:
    assert jwt.get_unverified_header(outsiders.with_key_address(VALID))["jku"].startswith(
        "https://keys.cbspec.invalid/"
    )


def test_a_public_key_serves_as_a_secret() -> None:
    made = Compact.split(outsiders.confuse(PAIR, Compact.split(mint(PAIR, {"sub": "me"}))))
    pem = PAIR.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert made.headers["alg"] == "HS256"
    assert made.signature == hmac.digest(pem, made.signing_input, "sha256")


def test_a_secret_passes_for_a_key_pair() -> None:
    made = Compact.split(outsiders.confuse(SECRET, VALID))
    assert made.headers == {"alg": "RS256", "typ": "JWT", "kid": "theirs"}
    assert made.signature == hmac.digest(b"hush", made.signing_input, "sha256")


def test_an_algorithm_that_nobody_has_a_key_for_is_named() -> None:
    odd = Compact(b'{"alg":"none"}', b"{}", b"")
    with pytest.raises(ValueError, match="none that a key can be made for"):
        outsiders.sign_alike(odd, "ours")
