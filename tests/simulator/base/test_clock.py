"""The clock that tests and controls can move forward."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.support.client import BEAT, AsyncClient

CONFIG = Config(listen=Listen(port=0), limits=LimitSettings(idle_timeout=3600.0))


@given(st.lists(st.floats(0, 1e6)))
def test_both_clocks_move_together(steps: list[float]) -> None:
    clock, seen = Clock(lambda: 5.0, lambda: 1000.0), []
    clock.watch(lambda: seen.append(clock.ahead))
    for step in steps:
        clock.advance(step)
    assert clock.monotonic() - 5.0 == pytest.approx(sum(steps))
    assert clock.epoch() - 1000.0 == pytest.approx(sum(steps))
    assert seen == sorted(seen)
    assert len(seen) == len(steps)


def test_time_never_goes_back() -> None:
    for seconds in (-1.0, math.nan):
        with pytest.raises(ValueError, match="forward"):
            Clock().advance(seconds)


async def test_idle_connections_and_rates_follow_the_relays_clock() -> None:
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        simulator.controls.limit_tenant("tenant-001", {"rate": {"per_second": 0.005, "burst": 1}})
        answers = [await wire.ask(BEAT), await wire.ask(BEAT)]
        simulator.clock.advance(3590)
        answers.append(await wire.ask(BEAT))
        assert [answer.get("code") for answer in answers] == [None, "rate_limit_exceeded", None]
        simulator.clock.advance(3601)
        assert await wire.rest() == b""
