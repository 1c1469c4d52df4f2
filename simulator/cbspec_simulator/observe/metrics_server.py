"""The relay's Prometheus endpoint, on a port of the loopback address."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from cbspec_simulator.relay.behaviour import Behaviour

_HOST = "127.0.0.1"


class MetricsServer:
    """Serves metrics over HTTP in a thread, until `close`; raises OSError if it can't listen on the port."""

    def __init__(self, metrics: Collector, port: int, behaviour: Behaviour) -> None:
        registry = CollectorRegistry()
        registry.register(metrics)
        application = behaviour.metrics(make_wsgi_app(registry))
        self._server = make_server(_HOST, port, application, server_class=_Server, handler_class=_Quiet)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        return f"http://{_HOST}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """End the thread and close the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each request in its own thread, so that a slow client delays no other."""

    daemon_threads = True

    def server_bind(self) -> None:
        # The base class looks up the host's full name in the DNS, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:
        """Do nothing."""
