"""The relay's Prometheus endpoint, on a port of the loopback address."""

from __future__ import annotations

import asyncio
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from cbspec_simulator.relay.behaviour import Behaviour

_HOST = "127.0.0.1"


class MetricsServer:
    """Serves metrics over HTTP until `close`, from the running loop; raises OSError if it can't listen on the port."""

    def __init__(self, metrics: Collector, port: int, behaviour: Behaviour) -> None:
        registry = CollectorRegistry()
        registry.register(metrics)
        application = behaviour.metrics(make_wsgi_app(registry))
        self._server = make_server(_HOST, port, application, server_class=_Server, handler_class=_Quiet)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._server, self._server.handle_request)

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        return f"http://{_HOST}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._server)
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each request in its own thread, so that a slow client delays no other."""

    daemon_threads = True
    timeout = 0.0  # seconds to wait for a connection that has gone

    def server_bind(self) -> None:
        # The base class looks up the host's full name in the DNS, which may take seconds.
        self.socket.bind(self.server_address)
        self.socket.setblocking(False)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:
        """Do nothing."""
