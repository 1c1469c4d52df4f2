"""The subjects of the tokens of a case."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile, Tenant
from cbspec.profile.target import IssuerSettings, ReadyTokens
from cbspec.tokens.jws import claims_of
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.target.tokens import TokenSource

READY = mint(SigningKey.hmac("k" * 32), {"sub": "ready", "tenant_id": "a"})


@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        (IssuerSettings(development=True), "cb-tun-005"),
        (IssuerSettings(development=True, subject="fixed"), "fixed"),
        (IssuerSettings(ready=ReadyTokens(tenants={"a": READY})), "ready"),
    ],
)
def test_a_case_names_its_subject_unless_the_relay_needs_another(settings: IssuerSettings, subject: str) -> None:
    profile = replace(Profile(), tokens=settings)
    tokens = TokenSource(profile, Issuer(settings, time.time), Recipes(), stem="cb-tun-005")
    assert claims_of(tokens.valid(Tenant("a")))["sub"] == subject
    if settings.has_key:
        assert claims_of(tokens.minted(Tenant("a"), {}))["sub"] == subject
        assert claims_of(tokens.minted(Tenant("a"), {"sub": "odd"}))["sub"] == "odd"
        assert claims_of(tokens.valid(Tenant("a"), tokens.subject("second")))["sub"] == "cb-tun-005-second"
