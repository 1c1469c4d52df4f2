"""The room of a tenant: measured, and lost by some actions on relays that leak it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.profile import Profile, Tenant, load
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom, NotExercised
from cbspec_conformance.probe.waits import YieldingClock
from cbspec_conformance.target import capacity
from cbspec_conformance.target.capacity import (
    ACTIONS,
    AT_THE_END,
    TenantLimit,
    explained,
    keeps_room,
    regained,
    room,
    rooms,
    tenants_limits,
)
from cbspec_conformance.target.relay import RelayUnderTest
from tests.conformance.build import error, exchange
from tests.conformance.conftest import MakeTarget
from tests.support.few import few
from tests.support.processes import served

_LOSSES = {
    "tunnels-never-given-back": "CB-LIM-016",
    "tunnels-kept-at-reset": "CB-LIM-007",
    "ended-within-a-message-loses-room": "CB-LIM-007",
    "second-auth-loses-tunnels": "CB-LIM-008",
    "refused-auth-loses-a-connection": "CB-LIM-010",
    "tunnel-over-limit-loses-a-tunnel": "CB-LIM-003",
}
_FULL = exchange({"type": "tunnel_info"}, error("tenant_limit_exceeded"))


_TUNNELS = [f"tunnels of tenant-tunnels{suffix}" for suffix in ("", "-2", "-3", "-4")]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Measure without pauses: the relays of these tests give room back at once or never."""
    for name in ("PAUSES", "_SHORT"):
        monkeypatch.setattr(capacity, name, (0.0, 0.3))
    return iter([None])


@pytest.mark.parametrize("deviation", few(_LOSSES, 3))
def test_the_lack_of_room_is_blamed_on_its_cause(
    deviation: str, quick: None, tmp_path: Path, make_target: MakeTarget
) -> None:
    with served(tmp_path, "--deviation", deviation) as relay:
        target = make_target(load(relay.profile_file), room=dict.fromkeys(_TUNNELS, 5))
        cause = explained(target, NoRoom("full"), "CB-MSG-009")
        assert isinstance(cause, Inconclusive)
        assert _LOSSES[deviation] in str(cause)
        assert [finding.requirement for finding in target.log.findings] == [_LOSSES[deviation]]
        again = Broken("a tunnel", "an error", _FULL, unserved="tunnel_info")
        assert isinstance(explained(target, again, "CB-LIM-001"), Inconclusive)
        assert explained(target, again, _LOSSES[deviation]) is again


def test_a_relay_that_loses_nothing(simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated)
    for limit in tenants_limits(target):
        assert room(target, limit) == (limit.size, ())
    for requirement in ACTIONS:
        keeps_room(target, requirement)
    assert target.log.findings == []
    early = Broken("a tunnel", "an error", _FULL, unserved="tunnel_info")
    assert explained(target, early, "CB-LIM-001") is early
    assert explained(target, ValueError(), "CB-LIM-001").args == ()


def test_a_loss_in_the_course_of_the_run_is_named(quick: None, simulated: Profile, make_target: MakeTarget) -> None:
    target = make_target(simulated, room=dict.fromkeys(_TUNNELS, 6))
    explained(target, NoRoom("full"), "CB-TUN-001")
    assert [finding.requirement for finding in target.log.findings] == [AT_THE_END]
    target = make_target(simulated, room=dict.fromkeys(_TUNNELS, 3))
    assert isinstance(found := explained(target, Broken("5", "3"), "CB-LIM-001"), Broken)
    name = tenants_limits(target)[0].name
    assert found.seen == f"3; at the beginning of the run there was room for 3 of 5 {name}"


def test_without_a_limit_nothing_is_measured(simulated: Profile, make_target: MakeTarget) -> None:
    for tenants in ((Tenant("tenant-001"),), (Tenant("tenant-001", tunnel_limit=257),)):
        with pytest.raises(NotExercised, match=r"tenants\.tunnel_limit"):
            keeps_room(make_target(replace(simulated, tenants=tenants)), "CB-LIM-007")


@pytest.mark.parametrize(("late", "lost"), [(0.0, False), (3.0, False), (10.0, False), (60.0, True)])
def test_room_that_comes_back_late_is_not_lost(
    late: float, lost: bool, simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_target(simulated)
    (limit, *_) = tenants_limits(target)
    now, held = [0.0], list[float]()

    def measured(relay: RelayUnderTest, limit: TenantLimit) -> tuple[int, tuple[()]]:
        """Take the room that was given back by now; it is given back `late` seconds after this."""
        free = limit.size - sum(until > now[0] for until in held)
        held.extend([now[0] + late] * free)
        return free, ()

    monkeypatch.setattr(capacity, "room", measured)
    clock: Any = SimpleNamespace(sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    target.clock = clock
    held.extend([late] * limit.size)
    assert (regained(target, limit, limit.size)[0] < limit.size) is lost


@pytest.mark.parametrize("most", [None, 5])
def test_measuring_all_tenants_keeps_within_the_connections_at_once(
    most: int | None, simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = replace(simulated, target=replace(simulated.target, connections_at_once=most))
    target, running, found = make_target(profile), list[TenantLimit](), list[int]()

    def measured(relay: RelayUnderTest, limit: TenantLimit) -> tuple[int, tuple[()]]:
        running.append(limit)
        found.append(len(running))
        YieldingClock().sleep(0.0)
        running.remove(limit)
        return limit.size, ()

    monkeypatch.setattr(capacity, "room", measured)
    limits = tenants_limits(target, each=True)
    assert rooms(target, limits) == {limit.name: limit.size for limit in limits}
    assert max(found) == (4 if most is None else 1)
