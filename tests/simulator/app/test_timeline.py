"""What happens to a relay by itself: each act, when its time has come by the simulator's clock."""

from __future__ import annotations

import logging

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, TimelineEntry
from cbspec_simulator.settings.reading import TIMELINE_ACTIONS
from tests.support.client import AsyncClient, until

LATE = {"kind": "latency", "seconds": 0.01, "name": "late"}


def _config(*acts: TimelineEntry) -> Config:
    return Config(listen=Listen(port=0), timeline=acts)


async def test_acts_come_in_the_order_of_their_times() -> None:
    acts = (
        TimelineEntry(30.0, "remove", "late"),
        TimelineEntry(10.0, "add", LATE),
        TimelineEntry(20.0, "drain", True),
        TimelineEntry(20.0, "drain", False),
    )
    async with Simulator(_config(*acts)) as simulator:
        seen = []
        for _ in range(4):
            seen.append((len(simulator.controls.faults()), simulator.relay.state.draining))
            simulator.clock.advance(10)
    assert seen == [(0, False), (1, False), (1, False), (0, False)]


async def test_time_passes_by_itself_as_well() -> None:
    async with Simulator(_config(TimelineEntry(0.05, "drain", True))) as simulator:
        assert not simulator.relay.state.draining
        await until(lambda: simulator.relay.state.draining)


@pytest.mark.parametrize(
    ("act", "what"),
    [
        ("add", LATE),
        ("remove", "there"),
        ("release", "there"),
        ("reset", True),
        ("drain", True),
        ("limits", {"buffer_pool": 1}),
        ("tenant", {"id": "tenant-001", "tunnel_limit": 1}),
        ("drop", "reset"),
    ],
)
async def test_every_act_does_something(act: str, what: object, caplog: pytest.LogCaptureFixture) -> None:
    async with Simulator(_config(TimelineEntry(10.0, act, what))) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        simulator.controls.add_fault({"kind": "drop", "name": "there", "when": {"nth": 99}})
        before = _state(simulator)
        with caplog.at_level(logging.ERROR, "simulator"):
            simulator.clock.advance(10)
        await until(lambda: act == "release" or _state(simulator) != before)
        assert not caplog.records


def test_no_act_is_left_out() -> None:
    (mark,) = test_every_act_does_something.pytestmark  # type: ignore[attr-defined] # pytest's own
    assert {act for act, _ in mark.args[1]} == set(TIMELINE_ACTIONS)


async def test_an_act_that_cant_be_done_is_told_and_the_next_is_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "simulator"):
        async with Simulator(
            _config(TimelineEntry(0.0, "remove", "nothing"), TimelineEntry(0.0, "drain", True))
        ) as simulator:
            assert simulator.relay.state.draining
    assert "the timeline's remove at 0: there is no fault nothing; there is none" in caplog.text


async def test_nothing_happens_behind_the_end() -> None:
    async with Simulator(_config(TimelineEntry(5.0, "drain", True))) as simulator:
        pass
    simulator.clock.advance(10)
    assert not simulator.relay.state.draining


def _state(simulator: Simulator) -> tuple[object, ...]:
    controls = simulator.controls
    said = controls.state()
    del said["time"]
    return said, controls.tenants(), controls.faults()
