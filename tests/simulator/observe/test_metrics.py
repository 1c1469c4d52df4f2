"""Counters, gauges and histograms of a relay; clients add no series, and each answered request is timed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator import Behaviour, Clock, Config, Simulator, varied
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.metrics import RelayMetrics
from cbspec_simulator.settings.config import Listen
from tests.support import client as wires
from tests.support.client import AsyncClient, until
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel
from tests.support.samples import counted, read

ANY_PORT = Config(listen=Listen(port=0))


def metrics_of(memory: MemoryRelay) -> RelayMetrics:
    """Return the metrics of a relay in memory."""
    return RelayMetrics(memory.relay, lambda: memory.time)


def test_events_are_counted() -> None:
    memory = MemoryRelay(Tenant("a"), Tenant("b"), buffer_pool=7, connection_limit=3)
    metrics = metrics_of(memory)
    first, second = memory.authenticated("a"), memory.greeted()
    for data in (tunnel("t"), tunnel("u"), BEAT, BEAT, BEAT, auth("b")):
        first.ask(data)
    assert second.type({"type": "made-up"}) == "unknown_message_type"
    assert second.type(auth("c")) == "tenant_not_found"
    assert counted(metrics, "connections_total") == {"tcp": 2}
    assert counted(metrics, "messages_total") == {"hello": 2, "auth": 3, "tunnel_info": 2, "heartbeat": 3, "unknown": 1}
    assert counted(metrics, "errors_total") == {"unknown_message_type": 1, "tenant_not_found": 1, "invalid_token": 1}
    assert counted(metrics, "tenant_tunnels") == {"a": 2}
    assert counted(metrics, "tenant_sessions") == {"a": 1}
    held = ("sessions_total", "active_connections", "connection_limit", "buffer_pool_size", "buffer_pool_usage")
    assert [read(metrics)[name, ()] for name in held] == [1, 2, 3, 7, 2]
    first.end()
    assert [read(metrics)[name, ()] for name in held] == [1, 1, 3, 7, 0]
    assert counted(metrics, "tenant_tunnels") == counted(metrics, "tenant_sessions") == {}


def test_strikes_are_counted_by_kind() -> None:
    memory = MemoryRelay()
    metrics, client = metrics_of(memory), memory.authenticated()
    for nth in (1, 2):
        memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat", "nth": nth}}), 0.0)
    for _ in range(3):
        client.send(BEAT)
    memory.relay.faults.add(Fault.read({"kind": "error", "code": "no_such_code"}), 0.0)
    client.send(HELLO)
    assert counted(metrics, "errors_total")["other"] == 1
    assert counted(metrics, "faults_total") == {"drop": 2, "error": 1}


def test_limits_follow_the_relay_and_missing_ones_have_no_sample() -> None:
    memory = MemoryRelay(
        Tenant("a", tunnel_limit=3, rate=Rate(5, 10, "tenant")), Tenant("b", connection_limit=2), buffer_pool=None
    )
    metrics = metrics_of(memory)

    def limits() -> dict[tuple[str, str], float]:
        found = read(metrics).items()
        return {(labels[0], name): value for (name, labels), value in found if name.startswith("tenant_") and value}

    limited = {("a", "tenant_tunnel_limit"): 3, ("a", "tenant_rate_limit"): 5, ("a", "tenant_rate_burst"): 10}
    assert limits() == {**limited, ("b", "tenant_session_limit"): 2}
    memory.relay.put_tenant(Tenant("b", tunnel_limit=1))
    assert limits() == {**limited, ("b", "tenant_tunnel_limit"): 1}
    memory.relay.reconfigure(replace(memory.relay.config, tenants=(Tenant("c"),)))
    assert {labels[0] for name, labels in read(metrics) if name.startswith("tenant_")} == {"c"}
    assert limits() == {}
    names = {"connection_limit", "buffer_pool_size"}
    assert not names & {name for name, _ in read(metrics)}
    config = memory.relay.config
    memory.relay.reconfigure(replace(config, relay=replace(config.relay, connection_limit=0, buffer_pool=0)))
    assert [read(metrics)[name, ()] for name in names] == [0, 0]


@pytest.mark.parametrize("deviation", ["tenant-suffix-accepted", "tunnel-for-unknown-tenant"])
def test_no_client_adds_a_series(deviation: str) -> None:
    memory = MemoryRelay(Tenant("a"), buffer_pool=None, change=lambda behaviour: varied(behaviour, deviation))
    metrics = metrics_of(memory)
    before = set(read(metrics))
    for number in range(20):
        client = memory.greeted()
        for body in (auth(f"{number}-a", sub=f"s-{number}"), {"type": f"type-{number}"}, auth(sub=f"s-{number}")):
            client.send(body)
        for tenant in ("a", f"tenant-{number}"):
            client.send(tunnel(f"tunnel-{number}", tenant))
    assert set(read(metrics)) == before
    assert read(metrics)["messages_total", ("tunnel_info",)] == 40


# ---------------------------------------------------------------------------- latencies


@pytest.mark.parametrize(("direction", "message"), [("request", "heartbeat"), ("answer", "heartbeat_response")])
async def test_a_latency_includes_the_time_for_which_a_fault_holds_a_message(direction: str, message: str) -> None:
    clock = Clock(monotonic=lambda: 100.0)
    async with Simulator(ANY_PORT, clock=clock) as simulator, AsyncClient(simulator.address) as wire:
        metrics = RelayMetrics(simulator.relay, clock.monotonic)
        await wire.greet()
        when = {"direction": direction, "message": message}
        simulator.controls.add_fault({"kind": "hold", "name": "gate", "when": when})
        wire.write(wires.BEAT)
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
    {"kind": "split", "at": [2, 9], "seconds": 0.0},
    {"kind": "merge", "messages": 3, "seconds": 0.05},
    {"kind": "reorder", "seconds": 0.01},
    {"kind": "duplicate"},
    {"kind": "duplicate", "when": {"direction": "request"}},
    {"kind": "unsolicited", "place": "before"},
    {"kind": "unsolicited", "when": {"direction": "request"}},
    {"kind": "delay", "seconds": 0.01, "when": {"direction": "request"}},
)


@pytest.mark.parametrize("variant", [None, "merged-answers", "split-records"])
async def test_each_answered_request_is_timed_once(variant: str | None) -> None:
    behaviour = varied(Behaviour(), variant) if variant else Behaviour()
    requests = [wires.HELLO, wires.auth(), wires.tunnel("t"), wires.BEAT, b'{"type":"x"}\n', wires.tunnel("u")]
    for fault in FAULTS:
        async with Simulator(ANY_PORT, behaviour=behaviour) as simulator:
            metrics = RelayMetrics(simulator.relay, simulator.clock.monotonic)
            simulator.controls.add_fault(fault)
            async with AsyncClient(simulator.address) as wire:
                wire.write(b"".join(requests))
                await until(lambda metrics=metrics: _timed(metrics) >= len(requests))  # type: ignore[misc]
            await until(lambda simulator=simulator: not simulator.relay.state.connections)  # type: ignore[misc]
        timed = counted(metrics, "request_latency_seconds_count")
        assert (timed, _timed(metrics)) == ({"hello": 1, "auth": 1, "tunnel_info": 2, "unknown": 1}, 6), fault


def _timed(metrics: RelayMetrics) -> float:
    heartbeats = read(metrics)["heartbeat_latency_seconds_count", ()]
    return heartbeats + sum(counted(metrics, "request_latency_seconds_count").values())


async def test_an_unanswered_request_is_not_timed() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        metrics = RelayMetrics(simulator.relay, simulator.clock.monotonic)
        for direction in ("request", "answer"):
            simulator.controls.add_fault({"kind": "drop", "when": {"direction": direction, "nth": 1}})
        wire.write(wires.HELLO * 3)
        await wire.line()
        assert counted(metrics, "messages_total") == {"hello": 3}
        await until(lambda: _timed(metrics) == 1)
