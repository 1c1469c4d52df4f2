"""A missing precondition makes a case not exercised and names the profile's key."""

from __future__ import annotations

import pytest

from cbspec.profile.profile import Profile, TargetSettings
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preconditions import Preconditions


def test_a_missing_precondition_is_named() -> None:
    needs = Preconditions(Profile(), Facts(transport="websocket", auth="refused with invalid_token"))
    for ask, key in ((needs.tenancy, "multi_tenancy"), (needs.websocket, "transport"), (needs.stream, "transport")):
        with pytest.raises(NotExercised, match=rf"target\.{key}"):
            ask()
    with pytest.raises(Inconclusive, match="refused with invalid_token"):
        needs.served("auth")


@pytest.mark.parametrize(
    ("declared", "offered", "applies"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_tenancy_applies_if_declared_or_else_offered(declared: bool, offered: bool, applies: bool) -> None:
    profile = Profile(target=TargetSettings(multi_tenancy=declared))
    assert Preconditions(profile, Facts(features=("multi_tenancy",) if offered else ())).offers_tenancy is applies
