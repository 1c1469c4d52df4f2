"""Every forgery is refused, and differs from the valid token as its sentence describes."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cbspec.tokens import foreign_keys as foreign
from cbspec.tokens.forgery import FORGERIES, Forgery, Materials, by_requirement
from cbspec.tokens.jws import CompactJws, RawNumber, dump
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier, mint, new_pair, pem

NOW = 1_700_000_000.5
TENANT = "tenant-001"
CLAIMS: Mapping[str, object] = {"sub": "user123", "tenant_id": TENANT, "exp": int(NOW) + 3600, "jti": "1"}
CERTIFICATE = foreign.own_certificate()
KEYS = [
    SigningKey.hmac("a secret of the tests"),
    *(SigningKey.from_pem(new_pair(name)) for name in ("RS256", "ES256", "ES384", "EdDSA")),
    SigningKey.from_pem(pem(ed448.Ed448PrivateKey.generate())),
]


def materials(key: SigningKey = KEYS[0], *, held: bool = True, tenant: str = TENANT) -> Materials:
    valid = mint(key, CLAIMS)
    return Materials(
        valid, key if held else None, CLAIMS, NOW, tenant, "0123456789abcdef", "tenant-002", certificate=CERTIFICATE
    )


def refused(token: object, key: SigningKey) -> bool:
    if not isinstance(token, str):
        return True
    try:
        claims = Verifier(key).verify(token, NOW)
    except TokenRejected:
        return True
    return claims.tenant_id not in (TENANT, "tenant-002")


def made(forgery: Forgery, key: SigningKey = KEYS[0]) -> tuple[CompactJws, CompactJws]:
    """Return the segments of the valid token and of the forgery."""
    made_of = materials(key)
    token = forgery.make(made_of)
    assert isinstance(token, str)
    return made_of.parts, CompactJws.split(token)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_every_forgery_is_refused_and_needs_the_key_as_it_says(forgery: Forgery) -> None:
    for key in KEYS:
        made_of = materials(key)
        if forgery.needs_key_pair and key.symmetric:
            continue
        assert not refused(made_of.valid, key)
        assert refused(forgery.make(made_of), key), key.algorithm
    without_key = materials(held=False)
    if forgery.needs_key:
        with pytest.raises(ValueError, match="needs the signing key"):
            forgery.make(without_key)
    else:
        assert refused(forgery.make(without_key), KEYS[0])


def test_the_table_is_complete_and_in_order() -> None:
    names = [forgery.name for forgery in FORGERIES]
    assert len(set(names)) == len(names) == 153
    ids = [*(f"CB-AUT-{number:03}" for number in (*range(5, 16), 18)), "CB-TEN-001", "CB-TEN-002"]
    assert [forgery for id_ in ids for forgery in by_requirement(id_)] == list(FORGERIES)
    assert list(dict.fromkeys(forgery.requirement for forgery in FORGERIES)) == ids
    purposes = [forgery.purpose for forgery in FORGERIES if forgery.purpose]
    assert purposes == ["expired", "not_yet_valid", "wrong_key", "no_tenant", "unknown_tenant"]


def test_only_one_claim_differs() -> None:
    for id_ in ("CB-AUT-005", "CB-AUT-006", "CB-TEN-001", "CB-TEN-002"):
        for forgery in by_requirement(id_):
            valid, bad = made(forgery)
            assert bad.header == valid.header
            names = {*bad.claims, *valid.claims}
            differing = [name for name in names if bad.claims.get(name, ...) != valid.claims.get(name, ...)]
            assert len(differing) == 1, forgery.name
            tenant = bad.claims.get("tenant_id")
            if id_ == "CB-TEN-002":
                assert isinstance(tenant, str)
                assert tenant.casefold() not in {TENANT, "tenant-002"}


def test_a_tenant_with_a_short_name_is_changed_to_another() -> None:
    made_of = materials(tenant="b")
    tokens = [CompactJws.split(str(forgery.make(made_of))) for forgery in by_requirement("CB-TEN-002")]
    assert not {"", "b"} & {str(token.claims["tenant_id"]) for token in tokens}
    assert made_of.valid not in repr(made_of)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_only_one_segment_differs(key: SigningKey) -> None:
    for id_ in ("CB-AUT-007", "CB-AUT-008", "CB-AUT-009", "CB-AUT-010", "CB-AUT-011"):
        for forgery in by_requirement(id_):
            if forgery.name.startswith("known-") or (forgery.needs_key_pair and key.symmetric):
                continue
            valid, bad = made(forgery, key)
            if forgery.name == "signature-after-nul":
                assert (key.sign(bad.signing_input)[0] == bad.signature[0] == 0) or not key.symmetric
                continue
            assert (bad.payload == valid.payload) is (id_ != "CB-AUT-007")
            if id_ in ("CB-AUT-008", "CB-AUT-009"):
                assert bad.signing_input == valid.signing_input
                assert bad.signature != valid.signature
                assert id_ == "CB-AUT-008" or len(bad.signature) == len(valid.signature)
            elif id_ == "CB-AUT-010":
                assert str(bad.headers.get("alg")).lower() in ("none", "", "xs256")
                assert bad.signature in {b"", valid.signature}
            elif id_ == "CB-AUT-011":
                assert bad.headers["alg"] != key.algorithm or bad.headers.keys() & {"jwk", "x5c", "jku", "kid"}
            else:
                assert (bad.header, bad.signature) == (valid.header, valid.signature)


@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-005") + by_requirement("CB-AUT-006"), ids=lambda f: f.name)
def test_times_exceed_a_leeway_of_ten_minutes(forgery: Forgery) -> None:
    with pytest.raises(TokenRejected, match=r"expired|isn't valid yet|not a finite number"):
        Verifier(KEYS[0], leeway=600).verify(str(made(forgery)[1]), NOW)


@pytest.mark.parametrize("key", KEYS[1:], ids=lambda key: key.algorithm)
def test_public_material_keys_the_hmac_that_the_sentence_names(key: SigningKey) -> None:
    certificate = x509.load_der_x509_certificate(CERTIFICATE)
    for forgery in FORGERIES:
        if not forgery.name.endswith("-as-secret") or forgery.name == "public-key-as-secret":
            continue
        public = certificate.public_key() if forgery.needs_certificate else key.public
        forms = foreign.public_forms(public)
        if "with the certificate" in forgery.sentence:
            text = certificate.public_bytes(Encoding.PEM)
            forms = {"PEM": text, "DER": CERTIFICATE, "x5c": base64.b64encode(CERTIFICATE)}
            forms["PEM without line feed"] = text.strip()
        secret = forms[forgery.sentence.rpartition(", as ")[2].removesuffix(".")]
        _, bad = made(forgery, key)
        assert bad.headers["alg"] == "HS256"
        assert bad.signature == hmac.digest(secret, bad.signing_input, "sha256"), forgery.name


def test_a_number_is_written_as_it_is() -> None:
    written = dump({"exp": RawNumber("1e309"), "nbf": "1e309", "sub": "\x1f"})
    assert written == b'{"exp":1e309,"nbf":"1e309","sub":"\\u001f"}'
    (infinite,) = (forgery for forgery in FORGERIES if forgery.name == "early-1e309")
    assert b'"nbf":1e309' in made(infinite)[1].payload


def test_the_relay_s_own_secret_is_no_forgery() -> None:
    key = SigningKey.hmac("password")
    with pytest.raises(ValueError, match="the relay's secret"):
        foreign.sign_by_known(key, CompactJws.split(mint(key, CLAIMS)), b"password")


def test_an_own_key_in_the_header_verifies_its_token() -> None:
    valid = CompactJws.split(mint(KEYS[0], {"sub": "me"}))
    made = foreign.with_public_key(valid)
    jwk = jwt.get_unverified_header(made)["jwk"]
    assert set(jwk) & {"d", "p", "q"} == set()
    assert jwt.decode(made, jwt.PyJWK(jwk, "RS256").key, ["RS256"]) == {"sub": "me"}
    certified = foreign.with_certificate(valid)
    public = x509.load_der_x509_certificate(
        base64.b64decode(jwt.get_unverified_header(certified)["x5c"][0])
    ).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert jwt.decode(certified, public, ["RS256"]) == {"sub": "me"}
    empty = CompactJws.split(foreign.with_key_path(valid))
    assert empty.signature == hmac.digest(b"", empty.signing_input, "sha256")
