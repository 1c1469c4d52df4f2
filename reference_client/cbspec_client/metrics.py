"""Prometheus metrics of a session: a listener for its events.

metrics = ClientMetrics(registry)
async with stay_connected(..., on_event=metrics.observe): ...
"""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from cbspec.protocol.codes import ErrorCode
from cbspec_client.errors import ClientError, RelayError
from cbspec_client.events import (
    ConnectionMade,
    HeartbeatAnswered,
    HeartbeatMissed,
    RetryScheduled,
    SessionEnded,
    SessionEvent,
    SessionLost,
    SessionUp,
    TunnelOpened,
)


class ClientMetrics:
    """The metrics, added to `registry`. The names follow those of deployed clients; no label has unbounded values."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        prefix, own = "cloudbridge_client", registry
        self._connections = Counter(f"{prefix}_connections", "Connections made.", registry=own)
        self._retries = Counter(f"{prefix}_retries", "Retries scheduled.", registry=own)
        self._tunnels = Counter(f"{prefix}_tunnels_opened", "Tunnels opened, again included.", registry=own)
        self._missed = Counter(f"{prefix}_heartbeats_missed", "Time-outs of heartbeats.", registry=own)
        self._up = Gauge(f"{prefix}_up", "Whether the session is up.", registry=own)
        self._errors = Counter(
            f"{prefix}_errors", "Failed attempts and lost connections.", ["error_type"], registry=own
        )
        self._latency = Histogram(f"{prefix}_heartbeat_latency_seconds", "Time of a heartbeat.", registry=own)

    def observe(self, event: SessionEvent) -> None:
        """Count an event."""
        match event:
            case ConnectionMade():
                self._connections.inc()
            case TunnelOpened():
                self._tunnels.inc()
            case SessionUp():
                self._up.set(1)
            case HeartbeatAnswered(seconds):
                self._latency.observe(seconds)
            case HeartbeatMissed():
                self._missed.inc()
            case SessionLost(error):
                self._up.set(0)
                self._errors.labels(error_type(error)).inc()
            case RetryScheduled():
                self._retries.inc()
            case SessionEnded():
                self._up.set(0)


def error_type(error: ClientError) -> str:
    """Return a name for an error from a bounded set: its code, if it is one of the eleven, or its kind."""
    if isinstance(error, RelayError):
        return error.code if error.code in set(ErrorCode) else "unknown_code"
    return error.kind.replace(" ", "_")
