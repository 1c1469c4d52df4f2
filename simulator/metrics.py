"""The relay's Prometheus endpoint, on a port of the loopback address; its labels are bounded.

Labels that a client chooses (tunnel ids, subjects, unknown types and tenants) are never on a series.
"""

from __future__ import annotations

from functools import partial
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app

from cbspec.codes import ErrorCode
from simulator.events import Answered, Connected, Event, Received

if TYPE_CHECKING:
    from simulator.behaviour import Behaviour
    from simulator.relay import Relay

TYPES = ("hello", "auth", "tunnel_info", "heartbeat", "unknown")
"""The labels of messages; whatever else a client sends is "unknown"."""

_OTHER = "other"
"""Stands for every code that isn't listed: only faults send such ones."""

_HOST = "127.0.0.1"


class Metrics:
    """Counts what a relay does, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        new: dict[str, Any] = {"registry": self.registry, "namespace": "cloudbridge"}
        self._connections = Counter("connections", "Connections whose first bytes arrived.", **new)
        messages = Counter("messages", "Messages from clients, by type.", ["type"], **new)
        errors = Counter("errors", "Errors sent to clients, by code.", ["error_type"], **new)
        self._messages = {name: messages.labels(name) for name in TYPES}
        self._errors = {code: errors.labels(code) for code in (*ErrorCode, _OTHER)}
        self._active = Gauge("active_connections", "Connections that are open.", **new)
        self._tunnels = Gauge("tunnels_open", "Tunnels that are open, by tenant.", ["tenant_id"], **new)
        self._pool = Gauge("buffer_pool_size", "Buffers that there are; -1 without a limit.", **new)
        self._used = Gauge("buffer_pool_usage", "Buffers in use.", **new)

    def watch(self, relay: Relay) -> None:
        """Count what a relay does, and read what is in use whenever the metrics are asked for."""
        relay.tell.add(self)
        self._active.set_function(lambda: len(relay.sessions))
        self._used.set_function(lambda: relay.buffers)
        size = relay.config.relay.buffer_pool
        self._pool.set(-1 if size is None else size)
        for tenant_id in relay.tenants:
            self._tunnels.labels(tenant_id).set_function(partial(relay.tunnels, tenant_id))

    def __call__(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case Connected():
                self._connections.inc()
            case Received(type=name):
                self._messages[name].inc()
            case Answered(body={"type": "error", "code": code}):
                self._errors[code if isinstance(code, str) and code in self._errors else _OTHER].inc()


class MetricsServer:
    """Serves metrics over HTTP from a thread, until `close`.

    Raises OSError where the port can't be had; 0 takes a free one.
    """

    def __init__(self, metrics: Metrics, port: int, behaviour: Behaviour) -> None:
        application = behaviour.metrics(make_wsgi_app(metrics.registry))
        self._server = make_server(_HOST, port, application, server_class=_Server, handler_class=_Quiet)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{_HOST}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """End the thread and close the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """A slow reader doesn't keep the next one waiting."""

    daemon_threads = True

    def server_bind(self) -> None:
        # The base class asks the name server for the host's full name, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    """Answers without a line on standard error for each request."""

    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
