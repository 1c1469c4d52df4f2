"""What cases have for themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import Condition, Endpoint, Profile, Rate, Tenant
from cbspec_conformance.runner.reservations import Needs, needs_of
from cbspec_conformance.target.room import assigned

FEW = (Tenant("main"), Tenant("few", tunnel_limit=2), Tenant("fewer", tunnel_limit=2, connection_limit=2))
RATED = (Tenant("main"), Tenant("a", rate=Rate(9.0, 2, "tenant")), Tenant("b", rate=Rate(9.0, 3, "tenant")))
BY_ADDRESS = (*RATED, Tenant("c", rate=Rate(9.0, 4, "address")))
LIMIT, BOTH = ("limits", "tunnel_limit"), ("limits", "connection_limit", "tunnel_limit")
AT = Condition(target=Endpoint("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("tenants", "marks", "needs"),
    [
        (FEW, [], Needs()),
        (FEW, [("alone",)], Needs(alone=True)),
        (FEW, [LIMIT], Needs(names=frozenset({"few"}))),
        (FEW, [BOTH], Needs(names=frozenset({"few", "fewer"}))),
        (FEW, [("all_limits", "tunnel_limit")], Needs(names=frozenset({"few", "fewer"}))),
        (FEW[1:], [], Needs(names=frozenset({"few"}))),  # any case may use the main tenant
        (FEW, [("provokes", "transfer_failed")], Needs(names=frozenset({"conditions.transfer_failed"}))),
        (FEW, [("provokes", "unavailable")], Needs(True, frozenset({"conditions.unavailable"}))),
        (FEW, [("rates", 0)], Needs()),
        (FEW, [("last",)], Needs(late=True)),
        (FEW, [("final",)], Needs(late=True)),
        (RATED, [("rates", None, 0), ("last",)], Needs(names=frozenset({"a", "b"}))),
        (BY_ADDRESS, [("rates", 1), ("last",)], Needs(True, frozenset({"c"}), True)),
    ],
)
def test_needs_follow_from_marks_and_profile(tenants: tuple[Tenant, ...], marks: list[Any], needs: Needs) -> None:
    made = [SimpleNamespace(name=name, args=args) for name, *args in marks]
    item: Any = SimpleNamespace(
        iter_markers=lambda name: [each for each in made if each.name == name],
        get_closest_marker=lambda name: next((each for each in made if each.name == name), None),
    )
    assert needs_of(item, "a case", Profile(tenants=tenants, conditions={"transfer_failed": AT})) == needs


def test_cases_share_out_the_tenants_with_a_limit_always_in_the_same_way() -> None:
    profile = Profile(tenants=DEVELOPMENT_TENANTS)
    found = {assigned(profile, "tunnel_limit", f"case {number}") for number in range(50)}
    assert len(found) == 6
    assert assigned(profile, "tunnel_limit", "case 1") == assigned(profile, "tunnel_limit", "case 1")
    assert assigned(Profile(tenants=FEW), "tunnel_limit", "a") == (FEW[1],)  # that with the fewest other limits
    assert assigned(Profile(), "tunnel_limit", "a") == ()
