"""The issuer mints tokens as far as the profile allows, and names the missing keys of the profile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import IssuerSettings, ReadyTokens
from cbspec.tokens.foreign_keys import own_certificate
from cbspec.tokens.forgery import FORGERIES, Forgery
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import SigningKey, Verifier, mint, new_pair

NOW = 1_700_000_000.75
KEY = SigningKey.hmac("hush")
READY = ReadyTokens(
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


def test_a_minted_token_has_the_claims_of_the_profile(tmp_path: Path) -> None:
    settings = IssuerSettings(secret="hush", subject="somebody", claims={"iss": "us"}, lifetime=60, key_id="k")
    minted = issuer(settings)
    claims = dict(Verifier(KEY).verify(minted.valid("one"), NOW).all)
    assert isinstance(claims.pop("jti"), str)
    expected = {"sub": "somebody", "tenant_id": "one", "iss": "us", "iat": int(NOW) - 30, "exp": int(NOW) + 60}
    assert claims == expected
    assert Verifier(KEY).verify(minted.valid("one", "other"), NOW).subject == "other"
    assert Verifier(KEY).verify(minted.valid("one", ""), NOW).subject == ""
    assert minted.valid("one") != minted.valid("one")
    header = {"alg": "HS256", "typ": "JWT", "kid": "k", "crit": ["x"]}
    assert CompactJws.split(minted.minted("one", {}, {"crit": ["x"]})).headers == header
    assert "hush" not in str(vars(minted))
    development = Verifier(SigningKey.hmac(DEVELOPMENT_SECRET))
    assert development.verify(issuer(IssuerSettings(development=True)).valid("one"), NOW).tenant_id == "one"
    pair = tmp_path / "key.pem"
    pair.write_bytes(new_pair("EdDSA"))
    token = issuer(IssuerSettings(key_file=pair)).valid("one")
    assert Verifier(SigningKey.from_pem(pair)).verify(token, NOW).tenant_id == "one"
    Verifier(KEY).verify(issuer(IssuerSettings(secret="hush", lifetime=0.1)).valid("one"), NOW)


def test_a_ready_made_token_is_found_by_its_tenant() -> None:
    ready = issuer(IssuerSettings(ready=READY))
    found = [ready.valid(id_) for id_ in ("one", "two", "off", "named")]
    assert found == [READY.valid, READY.second_tenant, READY.inactive_tenant, "opaque"]
    assert ready.valid("one", "me") == READY.valid


@pytest.mark.parametrize(
    ("call", "key", "text"),
    [
        (lambda ready: ready.valid("three"), "tokens.ready.tenants.three", "a ready-made token of the tenant three"),
        (lambda ready: ready.valid("one", "somebody else"), "tokens.secret", "another subject"),
        (lambda ready: ready.minted("one", {}), "tokens.secret", "signing key"),
        (lambda ready: ready.forged(named("payload-other-tenant"), "one"), "tenants", "a second active tenant"),
    ],
)
def test_the_missing_key_of_the_profile_is_named(call: Callable[[Issuer], object], key: str, text: str) -> None:
    with pytest.raises(ProfileLacks, match=text) as caught:
        call(issuer(IssuerSettings(ready=READY)))
    assert caught.value.key == key


def test_without_the_key_a_ready_made_token_replaces_a_forgery_or_is_named() -> None:
    ready = issuer(IssuerSettings(ready=READY))
    opaque = issuer(IssuerSettings(ready=ReadyTokens(tenants={"named": "opaque"})))
    for forgery in FORGERIES:
        if forgery.needs_certificate:
            with pytest.raises(ProfileLacks, match="the certificate"):
                ready.forged(forgery, "one")
            ready.forged(forgery, "one", certificate=own_certificate())
        elif not forgery.needs_key:
            ready.forged(forgery, "one", "two")
        elif forgery.purpose == "expired":
            assert ready.forged(forgery, "one") == "expired-token"
        else:
            with pytest.raises(ProfileLacks, match="signing key") as caught:
                ready.forged(forgery, "one")
            assert caught.value.key == (f"tokens.ready.{forgery.purpose}" if forgery.purpose else "tokens.secret")
        with contextlib.suppress(ProfileLacks):
            assert opaque.forged(forgery, "named", "other") != "opaque"
    signed = str(issuer(IssuerSettings(secret="hush", key_id="k")).forged(named("tenant-missing"), "one"))
    assert CompactJws.split(signed).headers["kid"] == "k"
