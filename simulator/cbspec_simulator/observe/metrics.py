"""A relay's metrics: counters of its events, and gauges that are computed on each scrape.

All label values are known in advance: transports, types, codes, kinds of faults, configured tenants. Values that a
client chooses (tunnel ids, subjects, unknown types and tenants) are never labels. prometheus-client formats the
metrics; counts are plain integers, which take a sixth of the time of its own counters and histograms.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.base.steps import TENANT_CONNECTIONS
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import TRANSPORTS
from cbspec_simulator.relay.events import Answered, Connected, Decided, Disconnected, MessageReceived, Sent
from cbspec_simulator.relay.relay import Relay

HEARTBEAT: Final = "heartbeat"
REQUESTS: Final = ("hello", "auth", "tunnel_info", "unknown")
"""The labels of requests other than heartbeats; any other message is "unknown"."""

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the histograms' buckets in seconds."""

_OTHER: Final = "other"
"""The label of error codes that are not standard, which only faults send."""

_TENANT_GAUGES: Final[tuple[tuple[str, str, Callable[[Relay, Tenant], float | None]], ...]] = (
    ("tunnels", "Open tunnels of a tenant.", lambda relay, tenant: relay.tunnels(tenant.id)),
    (
        "sessions",
        "Open sessions of a tenant.",
        lambda relay, tenant: relay.state.usage.used(Account(TENANT_CONNECTIONS.name, tenant.id)),
    ),
    ("tunnel_limit", "Maximum number of open tunnels of a tenant.", lambda _, tenant: tenant.tunnel_limit),
    (
        "session_limit",
        "Maximum number of open sessions of a tenant: its connection_limit.",
        lambda _, tenant: tenant.connection_limit,
    ),
    ("rate_limit", "Maximum requests per second of a tenant.", lambda _, t: t.rate.per_second if t.rate else None),
    ("rate_burst", "Maximum burst of requests of a tenant.", lambda _, t: t.rate.burst if t.rate else None),
)


class Histogram:
    """Counts observed durations in buckets."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, *labels: str) -> None:
        """Add the cumulative buckets to a family."""
        bounds = (*map(str, BUCKETS), "+Inf")
        family.add_metric(labels, list(zip(bounds, accumulate(tuple(self._counts)), strict=True)), self._sum)


class RelayMetrics(Collector):
    """Counts the events of a relay.

    Arguments: `now` is the relay's monotonic clock. Events are received in the relay's thread; `collect` can be called
    in another thread, since it copies each collection before it iterates.
    """

    def __init__(self, relay: Relay, now: Callable[[], float]) -> None:
        self._relay = relay
        self._now = now
        self._connections = dict.fromkeys(TRANSPORTS, 0)
        self._known: set[ConnectionState] = set()
        self._sessions = 0
        self._messages = dict.fromkeys((*REQUESTS, HEARTBEAT), 0)
        self._errors = dict.fromkeys([*map(str, ErrorCode), _OTHER], 0)
        self._faults = dict.fromkeys(KINDS, 0)
        self._latency = {name: Histogram() for name in self._messages}
        relay.tell.add(self._answered, Answered)
        relay.tell.add(self._sent, Sent)
        relay.tell.add(self._count, Connected, Decided, Disconnected)
        relay.tell.add(self._received, MessageReceived)
        relay.timed = True

    def _received(self, event: MessageReceived) -> None:
        self._messages[event.type] += 1

    def _sent(self, event: Sent) -> None:
        _, type_, arrival = event
        self._latency[type_].observe(self._now() - arrival)

    def _count(self, event: Connected | Decided | Disconnected) -> None:
        match event:
            case Connected():
                self._connections[event.connection.transport] += 1
            case Decided() if event.decision.struck and event.decision.kind in self._faults:
                self._faults[event.decision.kind] += 1
            case Disconnected():
                self._known.discard(event.connection)

    def _answered(self, event: Answered) -> None:
        if event.connection.identity is not None and event.connection not in self._known:
            self._known.add(event.connection)
            self._sessions += 1
        if event.body.get("type") == "error":
            code = event.body.get("code")
            self._errors[code if isinstance(code, str) and code in self._errors else _OTHER] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its present value."""
        yield _counter("connections", "Connections whose first bytes arrived.", "transport", self._connections)
        about = "Sessions: connections that have authenticated."
        yield CounterMetricFamily("cloudbridge_sessions", about, self._sessions)
        yield _counter("messages", "Messages from clients, by type.", "type", self._messages)
        yield _counter("errors", "Errors sent to clients, by code.", "error_type", self._errors)
        yield _counter("faults", "Strikes of faults, by kind.", "kind", self._faults)
        about = "from the last byte of the request to the last byte of its answer, in seconds."
        beats = HistogramMetricFamily("cloudbridge_heartbeat_latency_seconds", f"Latency of heartbeats {about}")
        self._latency[HEARTBEAT].add_to(beats)
        others = HistogramMetricFamily(
            "cloudbridge_request_latency_seconds", f"Latency of other requests {about}", labels=["type"]
        )
        for name in REQUESTS:
            self._latency[name].add_to(others, name)
        yield from (beats, others)
        state = self._relay.state
        for name, about, value in (
            ("active_connections", "Open connections.", len(state.connections)),
            ("connection_limit", "Maximum number of open connections.", state.connection_limit),
            ("buffer_pool_size", "Buffers in the pool.", state.buffer_pool),
            ("buffer_pool_usage", "Buffers in use.", self._relay.buffers),
        ):
            if value is not None:  # a ratio to a placeholder for a missing limit would be meaningless
                yield GaugeMetricFamily(f"cloudbridge_{name}", about, value)
        tenants = tuple(state.tenants.values())
        for name, about, of in _TENANT_GAUGES:
            family = GaugeMetricFamily(f"cloudbridge_tenant_{name}", about, labels=["tenant_id"])
            for tenant in tenants:
                if (amount := of(self._relay, tenant)) is not None:
                    family.add_metric([tenant.id], amount)
            if family.samples:
                yield family


def _counter(name: str, about: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"cloudbridge_{name}", about, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
