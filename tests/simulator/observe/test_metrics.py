"""Counters, gauges and histograms of a relay; clients add no series."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import HistogramMetricFamily

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator import varied
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.observe.metrics import BUCKETS, Histogram, RelayMetrics
from cbspec_simulator.relay.events import Sent
from tests.support.memory import BEAT, HELLO, MemoryRelay, auth, tunnel
from tests.support.samples import counted, read


def metrics_of(memory: MemoryRelay) -> RelayMetrics:
    """Return the metrics of a relay in memory."""
    return RelayMetrics(memory.relay, lambda: memory.time)


def test_events_are_counted() -> None:
    memory = MemoryRelay(Tenant("a"), Tenant("b"), buffer_pool=7, connection_limit=3)
    metrics = metrics_of(memory)
    first, second = memory.authenticated("a"), memory.greeted()
    for data in (tunnel("t"), tunnel("u"), BEAT, BEAT, BEAT):
        first.ask(data)
    assert second.type({"type": "made-up"}) == "unknown_message_type"
    assert second.type(auth("c")) == "tenant_not_found"
    assert counted(metrics, "connections_total") == {"tcp": 2}
    assert counted(metrics, "messages_total") == {"hello": 2, "auth": 2, "tunnel_info": 2, "heartbeat": 3, "unknown": 1}
    assert counted(metrics, "errors_total") == {"unknown_message_type": 1, "tenant_not_found": 1}
    assert counted(metrics, "tenant_tunnels") == {"a": 2}
    assert counted(metrics, "tenant_sessions") == {"a": 1}
    held = ("sessions_total", "active_connections", "connection_limit", "buffer_pool_size", "buffer_pool_usage")
    assert [read(metrics)[name, ()] for name in held] == [1, 2, 3, 7, 2]
    first.end()
    assert [read(metrics)[name, ()] for name in held] == [1, 1, 3, 7, 0]
    assert counted(metrics, "tenant_tunnels") == counted(metrics, "tenant_sessions") == {}


def test_a_session_is_counted_once_and_strikes_by_kind() -> None:
    memory = MemoryRelay()
    metrics = metrics_of(memory)
    client = memory.authenticated()
    client.send(auth("b"))
    assert read(metrics)["sessions_total", ()] == 1
    for nth in (1, 2):
        memory.relay.faults.add(Fault.read({"kind": "drop", "when": {"message": "heartbeat", "nth": nth}}), 0.0)
    for _ in range(3):
        client.send(BEAT)
    memory.relay.faults.reset()
    memory.relay.faults.add(Fault.read({"kind": "error", "code": "no_such_code"}), 0.0)
    client.send(HELLO)
    assert counted(metrics, "errors_total")["other"] == 1
    assert counted(metrics, "faults_total") == {"drop": 2, "error": 1}


def test_limits_follow_the_relay_and_missing_ones_have_no_sample() -> None:
    memory = MemoryRelay(
        Tenant("a", tunnel_limit=3, rate=Rate(5, 10, "tenant")), Tenant("b", connection_limit=2), buffer_pool=None
    )
    metrics = metrics_of(memory)

    def limits(tenant_id: str) -> dict[str, float]:
        found = read(metrics)
        names = ("tunnel_limit", "session_limit", "rate_limit", "rate_burst")
        return {n: found[f"tenant_{n}", (tenant_id,)] for n in names if (f"tenant_{n}", (tenant_id,)) in found}

    assert limits("a") == {"tunnel_limit": 3, "rate_limit": 5, "rate_burst": 10}
    assert limits("b") == {"session_limit": 2}
    memory.relay.put_tenant(Tenant("a", tunnel_limit=1))
    assert limits("a") == {"tunnel_limit": 1}
    memory.relay.reconfigure(replace(memory.relay.config, tenants=(Tenant("c"),)))
    assert {labels[0] for name, labels in read(metrics) if name.startswith("tenant_")} == {"c"}
    assert limits("c") == {}
    names = {"connection_limit", "buffer_pool_size"}
    assert not names & {name for name, _ in read(metrics)}
    config = memory.relay.config
    memory.relay.reconfigure(replace(config, relay=replace(config.relay, connection_limit=0, buffer_pool=0)))
    assert [read(metrics)[name, ()] for name in names] == [0, 0]


@given(st.lists(st.floats(0, 1000) | st.sampled_from(BUCKETS), max_size=30))
def test_histograms_have_cumulative_buckets(seconds: list[float]) -> None:
    histogram = Histogram()
    for each in seconds:
        histogram.observe(each)
    family = HistogramMetricFamily("h", "")
    histogram.add_to(family)
    found = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert found == {
        **{str(bound): sum(each <= bound for each in seconds) for bound in BUCKETS},
        "+Inf": len(seconds),
        "h_count": len(seconds),
        "h_sum": pytest.approx(sum(seconds)),
    }


def test_heartbeats_have_their_own_histogram() -> None:
    memory = MemoryRelay()
    metrics = metrics_of(memory)
    connection = memory.authenticated().session.state
    memory.time = 4.0
    memory.relay.tell(Sent(connection, "heartbeat", 1.0))
    memory.relay.tell(Sent(connection, "tunnel_info", 3.99))
    found = read(metrics)
    assert [found["heartbeat_latency_seconds_bucket", (le,)] for le in ("2.5", "5.0", "+Inf")] == [0, 1, 1]
    assert found["heartbeat_latency_seconds_sum", ()] == 3
    assert [found["request_latency_seconds_bucket", ("tunnel_info", le)] for le in ("0.005", "0.025")] == [0, 1]
    timed = {labels[0] for name, labels in found if name == "request_latency_seconds_count"}
    assert timed == {"hello", "auth", "tunnel_info", "unknown"}


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
