"""A missing precondition makes a case not exercised and names the profile's key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbspec.profile.profile import Endpoint, Profile, TargetSettings, Tenant
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preconditions import Preconditions

FULL = Profile(
    target=TargetSettings(address=Endpoint("127.0.0.1", 8080)),
    tenants=(Tenant("one"), Tenant("two"), Tenant("gone", active=False)),
)


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        (lambda needs: needs.tenancy(), r"target\.multi_tenancy"),
        (lambda needs: needs.websocket(), r"target\.transport"),
        (lambda needs: needs.stream(), r"target\.transport"),
    ],
)
def test_missing_key_is_named(ask: Callable[[Preconditions], object], key: str) -> None:
    with pytest.raises(NotExercised, match=key):
        ask(Preconditions(Profile(), Facts(transport="websocket")))


def test_unserved_request_is_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="refused with invalid_token"):
        Preconditions(FULL, Facts(auth="refused with invalid_token")).served("auth")


@pytest.mark.parametrize(
    ("declared", "offered", "applies"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_tenancy_applies_if_declared_or_else_offered(declared: bool, offered: bool, applies: bool) -> None:
    profile = Profile(target=TargetSettings(multi_tenancy=declared))
    assert Preconditions(profile, Facts(features=("multi_tenancy",) if offered else ())).offers_tenancy is applies
