"""What the metrics count and hold, and that clients can't make them grow."""

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


def watched(memory: MemoryRelay) -> RelayMetrics:
    """Return the metrics of a relay in memory."""
    return RelayMetrics(memory.relay, lambda: memory.time)


def test_what_clients_do_is_counted() -> None:
    memory = MemoryRelay(Tenant("a"), Tenant("b"), buffer_pool=7, connection_limit=3)
    metrics = watched(memory)
    first, second = memory.authenticated("a"), memory.greeted()
    for data in (tunnel("t"), tunnel("u"), BEAT, BEAT, BEAT):
        first.ask(data)
    assert second.type({"type": "whatever a client thinks of"}) == "unknown_message_type"
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


def test_a_session_counts_once_however_often_it_authenticates() -> None:
    memory = MemoryRelay()
    metrics = watched(memory)
    client = memory.authenticated()
    client.send(auth())
    client.send(auth("b"))
    assert read(metrics)["sessions_total", ()] == 1


def test_a_code_that_is_not_listed_is_another_one() -> None:
    memory = MemoryRelay()
    metrics = watched(memory)
    fault = {"kind": "error", "code": "no_such_code", "name": "a-name"}
    memory.relay.faults.add(Fault.read(fault), 0.0)
    memory.client().send(HELLO)
    assert counted(metrics, "errors_total") == {"other": 1}
    assert counted(metrics, "faults_total") == {"error": 1}


def test_a_fault_counts_where_it_strikes_under_its_kind() -> None:
    memory = MemoryRelay()
    metrics = watched(memory)
    for number in range(50):
        when = {"message": "heartbeat", "nth": number + 1}
        memory.relay.faults.add(Fault.read({"kind": "drop", "name": f"fault-{number}", "when": when}), 0.0)
    client = memory.authenticated()
    for _ in range(20):
        client.send(BEAT)
    assert counted(metrics, "faults_total") == {"drop": 20}


def test_limits_are_read_when_they_are_asked_for() -> None:
    memory = MemoryRelay(Tenant("a", tunnel_limit=3, rate=Rate(5, 10, "tenant")), Tenant("b", connection_limit=2))
    metrics = watched(memory)

    def limits(tenant_id: str) -> dict[str, float]:
        found = read(metrics)
        names = ("tunnel_limit", "session_limit", "rate_limit", "rate_burst")
        return {n: found[f"tenant_{n}", (tenant_id,)] for n in names if (f"tenant_{n}", (tenant_id,)) in found}

    assert limits("a") == {"tunnel_limit": 3, "rate_limit": 5, "rate_burst": 10}
    assert limits("b") == {"session_limit": 2}
    memory.relay.put_tenant(Tenant("a", tunnel_limit=1))
    memory.relay.put_tenant(Tenant("c", connection_limit=9))
    assert limits("a") == {"tunnel_limit": 1}
    assert limits("c") == {"session_limit": 9}
    memory.relay.reconfigure(replace(memory.relay.config, tenants=(Tenant("c"),)))
    assert {labels[0] for name, labels in read(metrics) if name.startswith("tenant_")} == {"c"}
    assert limits("c") == {}


@pytest.mark.parametrize("name", ["connection_limit", "buffer_pool_size"])
def test_what_has_no_limit_has_no_sample(name: str) -> None:
    memory = MemoryRelay(connection_limit=None, buffer_pool=None)
    metrics = watched(memory)
    assert name not in {name for name, _ in read(metrics)}
    memory.relay.reconfigure(
        replace(memory.relay.config, relay=replace(memory.relay.config.relay, connection_limit=0, buffer_pool=0))
    )
    assert read(metrics)[name, ()] == 0


@given(st.lists(st.floats(0, 1000) | st.sampled_from(BUCKETS), max_size=30))
def test_a_histogram_counts_each_bucket_and_those_before_it(seconds: list[float]) -> None:
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


def test_a_heartbeat_has_a_histogram_of_its_own() -> None:
    memory = MemoryRelay()
    metrics = watched(memory)
    connection = memory.authenticated().session.state
    memory.time = 4.0
    memory.relay.tell(Sent(connection, "heartbeat", 1.0))
    memory.relay.tell(Sent(connection, "tunnel_info", 3.99))
    found = read(metrics)
    assert [found["heartbeat_latency_seconds_bucket", (le,)] for le in ("2.5", "5.0", "+Inf")] == [0, 1, 1]
    assert found["heartbeat_latency_seconds_sum", ()] == 3
    assert [found["request_latency_seconds_bucket", ("tunnel_info", le)] for le in ("0.005", "0.025")] == [0, 1]
    assert {labels[0] for name, labels in found if name == "request_latency_seconds_count"} == {
        "hello",
        "auth",
        "tunnel_info",
        "unknown",
    }


UNKNOWN_ACCEPTED = ("tenant-suffix-accepted", "tunnel-for-unknown-tenant")
"""Relays that let clients say whose they are."""


@pytest.mark.parametrize("deviation", [None, *UNKNOWN_ACCEPTED])
def test_no_client_adds_a_series(deviation: str | None) -> None:
    many = 100 if deviation else 10_000
    memory = MemoryRelay(Tenant("a"), buffer_pool=None, change=lambda b: varied(b, deviation) if deviation else b)
    metrics = RelayMetrics(memory.relay, lambda: memory.time)
    before = set(read(metrics))
    for number in range(many // 10):
        client = memory.greeted()
        client.send(auth(f"{number}-a", sub=f"subject-{number}"))
        client.send({"type": f"type-{number}"})
        client.send(auth(sub=f"subject-{number}"))
    for number in range(many):
        client.send(tunnel(f"tunnel-{number}", f"tenant-{number}" if deviation else "a"))
    assert set(read(metrics)) == before
    assert read(metrics)["messages_total", ("tunnel_info",)] == many
    if not deviation:
        assert counted(metrics, "tenant_tunnels") == {"a": many}
