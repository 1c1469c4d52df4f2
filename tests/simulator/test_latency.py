"""The latency metrics of a relay over loopback: each answered request counts once, by the relay's clock."""

from __future__ import annotations

import pytest

from cbspec_simulator import Behaviour, Clock, Config, Simulator, varied
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.observe.metrics import RelayMetrics
from cbspec_simulator.relay.actions import SendAction
from cbspec_simulator.relay.events import Answered, Connected, Event, MessageReceived
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, HELLO, AsyncClient, auth, tunnel, until
from tests.support.memory import MemoryRelay
from tests.support.samples import counted, read

ANY_PORT = Config(listen=Listen(port=0))


@pytest.mark.parametrize(("direction", "message"), [("request", "heartbeat"), ("answer", "heartbeat_response")])
async def test_a_latency_includes_the_time_for_which_a_fault_holds_a_message(direction: str, message: str) -> None:
    clock = Clock(monotonic=lambda: 100.0)
    async with Simulator(ANY_PORT, clock=clock) as simulator, AsyncClient(simulator.address) as wire:
        metrics = RelayMetrics(simulator.relay, clock.monotonic)
        await wire.greet()
        when = {"direction": direction, "message": message}
        simulator.controls.add_fault({"kind": "hold", "name": "gate", "when": when})
        wire.write(BEAT)
        await until(lambda: bool(simulator.controls.fault("gate")["strikes"]))
        clock.advance(3)
        simulator.controls.remove_fault("gate")
        assert b"heartbeat_response" in await wire.line()
        found = read(metrics)
    assert found["heartbeat_latency_seconds_sum", ()] == 3
    assert [found["heartbeat_latency_seconds_bucket", (le,)] for le in ("2.5", "5.0")] == [0, 1]
    assert found["request_latency_seconds_bucket", ("auth", "0.0001")] == 1


FAULTS: tuple[dict[str, object], ...] = (
    {"kind": "latency", "seconds": 0.01},
    {"kind": "dribble", "bytes": 5, "seconds": 0.0},
    {"kind": "split", "at": [2, 9], "seconds": 0.0},
    {"kind": "merge", "messages": 3, "seconds": 0.05},
    {"kind": "reorder", "seconds": 0.01},
    {"kind": "duplicate"},
    {"kind": "duplicate", "when": {"direction": "request"}},
    {"kind": "unsolicited", "place": "before"},
    {"kind": "unsolicited", "when": {"direction": "request"}},
    {"kind": "delay", "seconds": 0.01, "when": {"direction": "request"}},
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['kind']} {fault.get('when', '')}")
@pytest.mark.parametrize("variant", [None, "merged-answers", "split-records"])
async def test_each_answered_request_is_timed_once(fault: dict[str, object], variant: str | None) -> None:
    behaviour = varied(Behaviour(), variant) if variant else Behaviour()
    async with Simulator(ANY_PORT, behaviour=behaviour) as simulator:
        metrics = RelayMetrics(simulator.relay, simulator.clock.monotonic)
        simulator.controls.add_fault(fault)
        requests = [HELLO, auth(), tunnel("t"), BEAT, b'{"type":"x"}\n', tunnel("u"), BEAT]
        async with AsyncClient(simulator.address) as wire:
            wire.write(b"".join(requests))
            await until(lambda: _timed(metrics) >= len(requests))
        await until(lambda: not simulator.relay.state.connections)
    assert _timed(metrics) == len(requests)
    timed = counted(metrics, "request_latency_seconds_count")
    assert timed == {"hello": 1, "auth": 1, "tunnel_info": 2, "unknown": 1}


def _timed(metrics: RelayMetrics) -> float:
    heartbeats = read(metrics)["heartbeat_latency_seconds_count", ()]
    return heartbeats + sum(counted(metrics, "request_latency_seconds_count").values())


async def test_an_unanswered_request_is_not_timed() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        metrics = RelayMetrics(simulator.relay, simulator.clock.monotonic)
        for direction in ("request", "answer"):
            simulator.controls.add_fault({"kind": "drop", "when": {"direction": direction, "nth": 1}})
        for data in (HELLO, HELLO, HELLO):
            wire.write(data)
        await wire.line()
        assert counted(metrics, "messages_total") == {"hello": 3}
        await until(lambda: _timed(metrics) == 1)


def test_no_sent_events_without_a_subscriber() -> None:
    memory = MemoryRelay()
    events: list[Event] = []
    memory.relay.tell.add(events.append)
    session = memory.client().session
    actions = session.receive_data(HELLO, Moment(0.0, 0.0))
    assert [action.then for action in actions if isinstance(action, SendAction)] == [()]
    assert [type(event) for event in events] == [Connected, MessageReceived, Answered]
