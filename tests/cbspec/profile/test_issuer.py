"""Tokens are made as far as the profile allows, and what it lacks is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import IssuerSettings, Ready
from cbspec.tokens.forgery import FORGERIES, MISSING, Forgery
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import SigningKey, TokenRejected, Verifier, mint

NOW = 1_700_000_000.75
KEY = SigningKey.hmac("hush")
READY = Ready(
    valid=mint(KEY, {"sub": "me", "tenant_id": "one"}),
    second_tenant=mint(KEY, {"sub": "me", "tenant_id": "two"}),
    inactive_tenant=mint(KEY, {"tenant_id": "off"}),
    expired="expired-token",
    tenants={"named": "opaque"},
)


def issuer(tokens: IssuerSettings) -> Issuer:
    return Issuer(tokens, lambda: NOW)


def named(name: str) -> Forgery:
    return next(forgery for forgery in FORGERIES if forgery.name == name)


def test_a_minted_token_says_what_the_profile_says() -> None:
    made_by = issuer(IssuerSettings(secret="hush", subject="somebody", claims={"iss": "us"}, lifetime=60))
    claims = dict(Verifier(KEY).verify(made_by.valid("one"), NOW).all)
    assert isinstance(claims.pop("jti"), str)
    assert claims == {
        "sub": "somebody",
        "tenant_id": "one",
        "iss": "us",
        "iat": 1_700_000_000,
        "exp": 1_700_000_060,
    }
    assert Verifier(KEY).verify(made_by.valid("one", "other"), NOW).subject == "other"
    assert Verifier(KEY).verify(made_by.valid("one", ""), NOW).subject == ""


def test_every_token_names_the_key_where_the_profile_does() -> None:
    made_by = issuer(IssuerSettings(secret="hush", key_id="k"))
    assert Compact.split(made_by.valid("one")).headers["kid"] == "k"
    assert Compact.split(made_by.minted("one", {}, {"crit": ["x"]})).headers == {
        "alg": "HS256",
        "typ": "JWT",
        "kid": "k",
        "crit": ["x"],
    }
    for forgery in FORGERIES:
        token = made_by.forged(forgery, "one", "two")
        if forgery.needs_key and isinstance(token, str):
            assert Compact.split(token).headers["kid"] == "k", forgery.name


def test_no_two_tokens_are_the_same() -> None:
    made_by = issuer(IssuerSettings(secret="hush"))
    assert made_by.valid("one") != made_by.valid("one")


def test_a_lifetime_under_a_second_still_makes_a_valid_token() -> None:
    Verifier(KEY).verify(issuer(IssuerSettings(secret="hush", lifetime=0.1)).valid("one"), NOW)


def test_each_kind_of_key_signs(tmp_path: Path) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for tokens, key in (
        (IssuerSettings(development=True), SigningKey.hmac(DEVELOPMENT_SECRET)),
        (IssuerSettings(secret="hush", algorithm="HS512"), SigningKey.hmac("hush", "HS512")),
        (IssuerSettings(key_file=path), SigningKey.from_pem(path)),
    ):
        made_by = issuer(tokens)
        assert made_by.key is not None
        assert made_by.key.algorithm == key.algorithm
        assert Verifier(key).verify(made_by.valid("one"), NOW).tenant_id == "one"


def test_a_ready_made_token_is_found_by_its_tenant() -> None:
    made_by = issuer(IssuerSettings(ready=READY))
    assert made_by.key is None
    assert [made_by.valid(id_) for id_ in ("one", "two", "off", "named")] == [
        READY.valid,
        READY.second_tenant,
        READY.inactive_tenant,
        "opaque",
    ]
    assert made_by.valid("one", "me") == READY.valid


def test_what_no_ready_made_token_gives_is_named() -> None:
    made_by = issuer(IssuerSettings(ready=READY))
    with pytest.raises(ProfileLacks) as caught:
        made_by.valid("three")
    assert caught.value.key == "tokens.ready.tenants.three"
    assert "a ready-made token of the tenant three" in caught.value.sentence
    with pytest.raises(ProfileLacks, match="another subject") as caught:
        made_by.valid("one", "somebody else")
    assert caught.value.key == "tokens.secret"


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_with_the_key_every_forgery_is_made_and_bad(forgery: Forgery) -> None:
    token = issuer(IssuerSettings(secret="hush", claims={"iss": "us"})).forged(forgery, "one", "two")
    if isinstance(token, str):
        try:
            assert Verifier(KEY).verify(token, NOW).tenant_id not in ("one", "two")
        except TokenRejected:
            return


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_without_the_key_what_can_be_made_is_made_and_the_rest_named(forgery: Forgery) -> None:
    made_by = issuer(IssuerSettings(ready=READY))
    if not forgery.needs_key:
        made_by.forged(forgery, "one", "two")
    elif forgery.purpose == "expired":
        assert made_by.forged(forgery, "one") == "expired-token"
    else:
        with pytest.raises(ProfileLacks, match="signing key") as caught:
            made_by.forged(forgery, "one")
        assert caught.value.key == (f"tokens.ready.{forgery.purpose}" if forgery.purpose else "tokens.secret")


def test_a_second_tenant_is_asked_for_where_it_is_needed() -> None:
    with pytest.raises(ProfileLacks, match="a second active tenant") as caught:
        issuer(IssuerSettings(secret="hush")).forged(named("payload-other-tenant"), "one")
    assert caught.value.key == "tenants"


def test_an_opaque_token_serves_as_far_as_it_goes() -> None:
    made_by = issuer(IssuerSettings(ready=Ready(wrong_key="wrong", tenants={"named": "opaque"})))
    assert made_by.forged(named("missing"), "named") is MISSING
    assert made_by.forged(named("type-array-of-token"), "named") == ["opaque"]
    assert made_by.forged(named("another-key"), "named") == "wrong"
    with pytest.raises(ProfileLacks):
        made_by.forged(named("signature-removed"), "named")


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_no_forgery_of_an_opaque_token_is_the_token_itself(forgery: Forgery) -> None:
    made_by = issuer(IssuerSettings(ready=Ready(tenants={"named": "opaque"})))
    try:
        assert made_by.forged(forgery, "named", "other") != "opaque"
    except ProfileLacks:
        return


def test_an_issuer_shows_no_token() -> None:
    assert "hush" not in str(vars(issuer(IssuerSettings(secret="hush"))))


def test_tokens_of_what_is_not_decided_are_signed_with_the_right_key() -> None:
    made_by = Issuer(IssuerSettings(secret="s" * 40), lambda: 1_800_000_000.0)
    key = SigningKey.hmac("s" * 40)
    claims = Verifier(key).verify(made_by.minted("a", {"sub": "", "exp": MISSING}), 1_900_000_000.0)
    assert (claims.subject, claims.tenant_id) == ("", "a")
    assert Compact.split(made_by.minted("a", {}, {"crit": ["x"]})).headers["crit"] == ["x"]
    longer = Verifier(SigningKey.hmac("s" * 40, "HS512"))
    assert longer.verify(made_by.minted("a", {}, algorithm="HS512"), 1_800_000_000.0).tenant_id == "a"


def test_tokens_of_what_is_not_decided_need_the_key() -> None:
    with pytest.raises(ProfileLacks, match="signing key"):
        Issuer(IssuerSettings(), lambda: 0.0).minted("a", {})
