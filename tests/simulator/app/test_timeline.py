"""The timeline's actions happen at their times of the simulator's clock."""

from __future__ import annotations

import logging

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, TimelineEntry, timeline_actions
from tests.support.client import BEAT, AsyncClient, until

LATE = {"kind": "latency", "seconds": 0.01, "name": "late"}
ACTIONS = (
    TimelineEntry(10.0, add=LATE),
    TimelineEntry(10.0, remove="there"),
    TimelineEntry(10.0, release="there"),
    TimelineEntry(10.0, reset=True),
    TimelineEntry(10.0, drain=True),
    TimelineEntry(10.0, limits={"buffer_pool": 1}),
    TimelineEntry(10.0, tenant={"id": "tenant-001", "tunnel_limit": 1}),
    TimelineEntry(10.0, drop="reset"),  # type: ignore[arg-type] # a word, as in a file
)


def simulator(*timeline: TimelineEntry) -> Simulator:
    """Return a simulator with a timeline."""
    return Simulator(Config(listen=Listen(port=0), timeline=timeline))


async def test_actions_happen_in_the_order_of_their_times() -> None:
    timeline = (
        TimelineEntry(90.0, drain=True),  # after the end: no effect
        TimelineEntry(30.0, remove="late"),
        TimelineEntry(10.0, add=LATE),
        TimelineEntry(20.0, drain=True),
        TimelineEntry(20.0, drain=False),
    )
    async with simulator(*timeline) as relay:
        seen = []
        for _ in range(4):
            seen.append((len(relay.controls.faults()), relay.relay.state.draining))
            relay.clock.advance(10)
    relay.clock.advance(100)
    assert not relay.relay.state.draining
    assert seen == [(0, False), (1, False), (1, False), (0, False)]


async def test_times_count_from_events() -> None:
    timeline = (
        TimelineEntry(10.0, drain=True, after="first connection"),
        TimelineEntry(0.0, drain=False, after="heartbeat"),
        TimelineEntry(0.0, remove="never", after="tunnel_info"),
    )
    async with simulator(*timeline) as relay:
        relay.clock.advance(100)
        assert len(relay.actions_left) == 3
        async with AsyncClient(relay.address) as client:
            await client.greet()
            assert not relay.relay.state.draining
            relay.clock.advance(10)
            assert relay.relay.state.draining
            assert (await client.ask(BEAT))["type"] == "heartbeat_response"
            await until(lambda: not relay.relay.state.draining)
        assert relay.controls.never_struck()["timeline"] == [{"at": 0.0, "after": "tunnel_info", "do": "remove"}]


async def test_each_action_has_an_effect(caplog: pytest.LogCaptureFixture) -> None:
    assert [entry.action[0] for entry in ACTIONS] == [*timeline_actions()]
    for entry in ACTIONS:
        async with simulator(entry) as relay, AsyncClient(relay.address) as client:
            await client.greet()
            relay.controls.add_fault({"kind": "drop", "name": "there", "when": {"nth": 99}})
            before = _state(relay)
            relay.clock.advance(10)
            if entry.release is None:
                await until(lambda relay=relay, before=before: _state(relay) != before)  # type: ignore[misc]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_next_action_happens_after_a_failed_one(caplog: pytest.LogCaptureFixture) -> None:
    async with simulator(TimelineEntry(0.05, remove="nothing"), TimelineEntry(0.05, drain=True)) as relay:
        assert not relay.relay.state.draining
        await until(lambda: relay.relay.state.draining)  # without a change of the clock
    assert "timeline: remove at 0.05 failed: there is no fault nothing; there is none" in caplog.text


def _state(relay: Simulator) -> tuple[object, ...]:
    state = relay.controls.state()
    del state["time"]
    return state, relay.controls.tenants(), relay.controls.faults()
