"""The relay as a server: a listening socket, its connections, its certificate and its metrics, from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from cbspec import target
from cbspec.target import DEVELOPMENT, Endpoint
from simulator.behaviour import Behaviour
from simulator.clock import Clock
from simulator.config import Config, ConfigError
from simulator.contexts import Contexts
from simulator.metrics import Metrics, MetricsServer
from simulator.peer import Edge, Peer
from simulator.relay import Relay

_GRACE = 1.0  # seconds for open connections to take in the end
_BACKLOG = 1024
_NAMES = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on


class Simulator:
    """A relay on a socket of its own, for the time of an `async with`.

        async with Simulator(Config(listen=Listen(port=0))) as simulator:
            host, port = simulator.address

    Arguments: `config` says what it serves, `behaviour` how (the default conforms), `clock` what time it is.
    Raises ConfigError where certificate, key or address can't be used.
    """

    def __init__(
        self, config: Config | None = None, *, behaviour: Behaviour | None = None, clock: Clock | None = None
    ) -> None:
        self.config = config or Config()
        self.config.check()
        self._behaviour = behaviour or Behaviour()
        self._clock = clock or Clock()
        self.ca_file: Path | None = None
        self._metrics: MetricsServer | None = None
        self._relay: Relay | None = None
        self._edge: Edge | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen."""
        contexts = self._contexts()
        self.ca_file = contexts.ca_file
        metrics = Metrics()
        try:
            relay = Relay(self.config, self._behaviour)
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tokens]: {_reason(error)}") from None
        edge = Edge(relay, contexts, self._clock)
        for fault in self.config.faults:
            relay.faults.add(fault, self._clock.monotonic())
        relay.faults.watch(lambda: None, edge.released)
        listen = self.config.listen
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Peer(edge), listen.host, listen.port, backlog=_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"can't listen on {Endpoint(listen.host, listen.port)}: {_reason(error)} (port 0 takes a free one)"
            ) from None
        self._relay, self._edge = relay, edge
        if self.config.metrics.enabled:
            metrics.watch(relay)
            try:
                self._metrics = MetricsServer(metrics, self.config.metrics.port, self._behaviour)
            except OSError as error:
                await self.close()
                raise ConfigError(f"[metrics] port {self.config.metrics.port}: {_reason(error)}") from None

    async def close(self) -> None:
        """End: every connection is closed, and everything is given back."""
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
            self._metrics = None
        if self._server is None or self._edge is None:
            return
        server, self._server = self._server, None
        server.close()
        for peer in tuple(self._edge.peers):
            peer.finish()
        if self._edge.peers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self._edge.empty.wait()
        for peer in tuple(self._edge.peers):
            peer.abort()
        if self._edge.peers:
            await self._edge.empty.wait()
        await server.wait_closed()

    @property
    def relay(self) -> Relay:
        """What the connections share."""
        assert self._relay is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._relay

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on which the relay listens."""
        assert self._server is not None, "not started"  # noqa: S101 - a mistake of the caller's
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def endpoint(self) -> Endpoint:
        """The address at which a client on this machine finds the relay."""
        host, port = self.address
        return Endpoint(_WILDCARDS.get(host, host), port)

    @property
    def metrics_url(self) -> str | None:
        """Where the metrics are, if they are served."""
        return self._metrics.url if self._metrics else None

    def profile(self) -> target.Profile:
        """Return what the conformance suite may know of this relay."""
        config, endpoint = self.config, self.endpoint
        tokens = config.tokens
        return target.Profile(
            target=target.Target(address=endpoint, source_addresses=_source_addresses(endpoint.host)),
            tls=target.Tls(ca=DEVELOPMENT if config.certificate is None else self.ca_file),
            tokens=target.Tokens(
                secret=tokens.secret, key_file=tokens.key_file, development=tokens.development, claims=tokens.claims()
            ),
            tenants=config.tenants,
            relay=target.Relay(config.relay.connection_limit, config.relay.buffer_pool),
            remote=target.Remote(reachable=endpoint, dialled=config.relay.probe),
            metrics=target.Metrics(self.metrics_url),
        )

    def _contexts(self) -> Contexts:
        certificate = self.config.certificate
        names = dict.fromkeys((*_NAMES, self.config.listen.host))
        try:
            return Contexts(certificate, self._behaviour, names)
        except (OSError, ssl.SSLError) as error:
            if certificate is None:
                raise
            raise ConfigError(f"[tls] {certificate.chain}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number).lower()  # asyncio's own text repeats the address
    return str(getattr(error, "strerror", None) or error).lower()


def _source_addresses(host: str) -> tuple[str, ...]:
    return (host,) if host in ("127.0.0.1", "::1") else ()
