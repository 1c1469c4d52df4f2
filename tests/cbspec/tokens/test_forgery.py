"""Every forgery is refused, and differs from the valid token in what its sentence says."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.tokens.forgery import FORGERIES, MISSING, Forgery, Materials, by_requirement
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier, mint

NOW = 1_700_000_000.5
TENANT = "tenant-001"
CLAIMS: Mapping[str, object] = {"sub": "user123", "tenant_id": TENANT, "exp": int(NOW) + 3600, "jti": "1"}


def pem(private: PrivateKeyTypes) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def keys() -> list[SigningKey]:
    private: list[PrivateKeyTypes] = [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ]
    return [SigningKey.hmac("a secret of the tests"), *(SigningKey.from_pem(pem(key)) for key in private)]


KEYS = keys()


def materials(key: SigningKey, *, held: bool = True) -> Materials:
    return Materials(
        valid=mint(key, CLAIMS),
        key=key if held else None,
        claims=CLAIMS,
        now=NOW,
        tenant_id=TENANT,
        fresh="0123456789abcdef",
        other_tenant="tenant-002",
    )


def refused(token: object, key: SigningKey) -> bool:
    if not isinstance(token, str):
        return True
    try:
        claims = Verifier(key).verify(token, NOW)
    except TokenRejected:
        return True
    return claims.tenant_id not in (TENANT, "tenant-002")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_every_forgery_is_refused_where_the_valid_token_is_not(forgery: Forgery, key: SigningKey) -> None:
    made_of = materials(key)
    assert not refused(made_of.valid, key)
    assert refused(forgery.make(made_of), key)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_the_key_is_needed_exactly_where_it_says_so(forgery: Forgery) -> None:
    made_of = materials(KEYS[0], held=False)
    if forgery.needs_key:
        with pytest.raises(ValueError, match="needs the signing key"):
            forgery.make(made_of)
    else:
        assert refused(forgery.make(made_of), KEYS[0])


def test_the_list_is_in_order_and_every_name_its_own() -> None:
    names = [forgery.name for forgery in FORGERIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    order = [list(REQUIREMENTS).index(forgery.requirement) for forgery in FORGERIES]
    assert order == sorted(order)
    assert all(forgery.sentence.endswith(".") for forgery in FORGERIES)


def test_by_requirement_gives_them_all() -> None:
    ids = [*(f"CB-AUT-{number:03}" for number in range(5, 16)), "CB-TEN-001", "CB-TEN-002"]
    assert [forgery for id_ in ids for forgery in by_requirement(id_)] == list(FORGERIES)
    assert all(by_requirement(id_) for id_ in ids)


def test_each_purpose_is_one_forgerys() -> None:
    purposes = [forgery.purpose for forgery in FORGERIES if forgery.purpose]
    assert purposes == ["expired", "not_yet_valid", "wrong_key", "no_tenant", "unknown_tenant"]


def compare(forgery: Forgery, key: SigningKey) -> tuple[Compact, Compact]:
    made_of = materials(key)
    made = forgery.make(made_of)
    assert isinstance(made, str)
    return made_of.parts, Compact.split(made)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-007"), ids=lambda forgery: forgery.name)
def test_a_changed_payload_is_the_only_difference(forgery: Forgery, key: SigningKey) -> None:
    valid, made = compare(forgery, key)
    assert made.payload != valid.payload
    assert (made.header, made.signature) == (valid.header, valid.signature)
    assert isinstance(made.claims, dict)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-008"), ids=lambda forgery: forgery.name)
def test_a_changed_signature_is_the_only_difference(forgery: Forgery, key: SigningKey) -> None:
    valid, made = compare(forgery, key)
    assert made.signature != valid.signature
    assert made.signing_input == valid.signing_input


@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-009"), ids=lambda forgery: forgery.name)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_another_key_signs_the_same_in_the_same_way(forgery: Forgery, key: SigningKey) -> None:
    valid, made = compare(forgery, key)
    assert made.signing_input == valid.signing_input
    assert len(made.signature) == len(valid.signature)


@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-010"), ids=lambda forgery: forgery.name)
def test_none_is_the_headers_algorithm(forgery: Forgery) -> None:
    valid, made = compare(forgery, KEYS[0])
    assert str(made.headers["alg"]).lower() == "none"
    assert made.payload == valid.payload
    assert made.signature in {b"", valid.signature}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-011"), ids=lambda forgery: forgery.name)
def test_confusion_is_in_the_header(forgery: Forgery, key: SigningKey) -> None:
    valid, made = compare(forgery, key)
    brought = made.headers.keys() & {"jwk", "x5c", "jku", "kid"}
    assert made.headers["alg"] != key.algorithm or brought
    assert made.payload == valid.payload


@pytest.mark.parametrize("forgery", by_requirement("CB-AUT-005") + by_requirement("CB-AUT-006"), ids=lambda f: f.name)
def test_time_leaves_room_for_any_leeway(forgery: Forgery) -> None:
    _, made = compare(forgery, KEYS[0])
    exp, nbf = made.claims["exp"], made.claims.get("nbf", 0)
    assert isinstance(exp, int | float)
    assert isinstance(nbf, int | float)
    assert exp < NOW - 600 or nbf > NOW + 600
    with pytest.raises(TokenRejected):
        Verifier(KEYS[0], leeway=600).verify(str(made), NOW)


@pytest.mark.parametrize(
    "forgery",
    [
        *by_requirement("CB-AUT-005"),
        *by_requirement("CB-AUT-006"),
        *by_requirement("CB-TEN-001"),
        *by_requirement("CB-TEN-002"),
    ],
    ids=lambda forgery: forgery.name,
)
def test_only_one_claim_differs(forgery: Forgery) -> None:
    valid, made = compare(forgery, KEYS[0])
    assert made.header == valid.header
    names = {*made.claims, *valid.claims}
    assert sum(made.claims.get(name, ...) != valid.claims.get(name, ...) for name in names) == 1


def test_the_tokens_that_are_no_text() -> None:
    made_of = materials(KEYS[0])
    assert [forgery.make(made_of) for forgery in by_requirement("CB-AUT-015")] == [
        12345,
        None,
        True,
        [],
        [made_of.valid],
        {},
        {"token": made_of.valid},
    ]
    assert [forgery.make(made_of) for forgery in by_requirement("CB-AUT-014")] == [MISSING]
    assert [forgery.make(made_of) for forgery in by_requirement("CB-AUT-013")] == [""]


@pytest.mark.parametrize("forgery", by_requirement("CB-TEN-002"), ids=lambda forgery: forgery.name)
def test_unknown_tenants_are_no_spelling_of_a_known_one(forgery: Forgery) -> None:
    _, made = compare(forgery, KEYS[0])
    name = made.claims["tenant_id"]
    assert isinstance(name, str)
    assert name.casefold() not in {TENANT, "tenant-002"}


def test_a_look_alike_of_a_name_without_such_letters_still_differs() -> None:
    forgery = next(forgery for forgery in FORGERIES if forgery.name == "tenant-look-alike")
    made_of = Materials(mint(KEYS[0], CLAIMS), KEYS[0], CLAIMS, NOW, "42", "fresh")
    assert Compact.split(str(forgery.make(made_of))).claims["tenant_id"] == "42\u200b"


@pytest.mark.parametrize(("name", "made"), [("4", "4-cbspec"), ("42", "4"), ("site-10", "sit")])
def test_the_beginning_of_a_name_is_another_name(name: str, made: str) -> None:
    forgery = next(forgery for forgery in FORGERIES if forgery.name == "tenant-beginning")
    made_of = Materials(mint(KEYS[0], CLAIMS), KEYS[0], CLAIMS, NOW, name, "fresh")
    assert Compact.split(str(forgery.make(made_of))).claims["tenant_id"] == made


def test_materials_show_no_token() -> None:
    made_of = materials(KEYS[0])
    assert made_of.valid not in repr(made_of)
    assert "user123" not in repr(made_of)
