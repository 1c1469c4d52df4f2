"""Forged tokens made by a script: changed in the same way as the kit's own."""

from __future__ import annotations

import time

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import IssuerSettings
from cbspec.tokens.forgery import FORGERIES, Forgery
from cbspec_conformance.replay import standalone
from cbspec_conformance.replay.forged import compare

ISSUER = Issuer(IssuerSettings(development=True), time.time)
# Forgeries that are no token of three segments, or contain a key: the user has to provide them.
NOT_MADE = {"CB-AUT-012", "CB-AUT-013", "CB-AUT-014", "CB-AUT-015"}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_a_script_makes_the_same_kind_of_token(forgery: Forgery, monkeypatch: pytest.MonkeyPatch) -> None:
    valid = ISSUER.valid("tenant-001")
    forged = ISSUER.forged(forgery, "tenant-001", "tenant-002", valid)
    recipe = compare(forged, valid, DEVELOPMENT_SECRET, time.time()) if isinstance(forged, str) else None
    if recipe is None:
        assert forgery.requirement in NOT_MADE or "brings" in forgery.name or "space" in forgery.name
        return
    tokens = {"token-1": {"tenant": "tenant-001"}, "token-2": {"of": "token-1", **recipe}}
    monkeypatch.setattr(standalone, "FAILURE", {"claims": {"sub": "user123"}, "tokens": tokens})
    monkeypatch.setenv("CBSPEC_SECRET", DEVELOPMENT_SECRET)
    made = standalone.StandaloneTokens()
    remade = compare(made.get("token-2"), made.get("token-1"), DEVELOPMENT_SECRET, time.time())
    assert remade is not None
    assert remade.pop("in_seconds", {}) == pytest.approx(recipe.pop("in_seconds", {}), abs=60)
    assert remade == recipe
