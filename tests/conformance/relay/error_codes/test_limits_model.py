"""The case of limits in any order: it locks the limited tenants as long as its model counts for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.oracles.model import Model
from cbspec_conformance.properties.effort import QUICK, EffortPlan
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.relay.error_codes.test_limits_model import test_tenants_limits_in_any_order as in_any_order
from cbspec_conformance.target.locks import Locks
from tests.conformance.conftest import MakeTarget


def test_no_other_process_uses_the_tenants_meanwhile(
    simulated: Profile, make_target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = 0
    counts: list[int] = []

    @contextlib.contextmanager
    def limits(_: Locks) -> Iterator[None]:
        nonlocal held
        held += 1
        yield
        held -= 1

    def allowed(*arguments: Any) -> Any:  # noqa: ANN401 - the model's own
        counts.append(held)
        return of_the_model(*arguments)

    of_the_model = Model.allowed
    monkeypatch.setattr(Locks, "limits", limits)
    monkeypatch.setattr(Model, "allowed", allowed)
    target = make_target(simulated)
    in_any_order(target, Explorer(EffortPlan(QUICK, 8, 0), "a case"))
    assert counts
    assert all(counts)
    target.close()
    assert held == 0
