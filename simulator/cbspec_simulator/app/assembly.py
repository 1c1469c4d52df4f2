"""The simulator assembled from its configuration: relay, server, transcript, metrics, controls and timeline."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cbspec.profile import target
from cbspec.profile.target import DEVELOPMENT, Endpoint
from cbspec_simulator.app.timeline import Timeline
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.control.controls import Controls
from cbspec_simulator.control.server import ControlServer
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.server import RelayServer
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.observe.log import LOGGED, log_event
from cbspec_simulator.observe.transcript import RelayTranscript
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.relay.events import Controlled
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import Config, ConfigError, TimelineEntry
from cbspec_simulator.settings.issuing import issuer_settings

if TYPE_CHECKING:
    from cbspec_simulator.observe.metrics_server import MetricsServer

log = logging.getLogger("simulator")

_GRACE = 1.0  # seconds in which clients can close their connections, too
_NAMES = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on


class Simulator:
    """A relay on a socket of its own, for the duration of an `async with`.

        async with Simulator(Config(listen=Listen(port=0))) as simulator:
            host, port = simulator.address

    Arguments: `behaviour` replaces parts of the relay (the default conforms); `clock` is the source of time; the
    transcript is also written to the file `transcript`. Raises ConfigError if one of them can't be used.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        behaviour: Behaviour | None = None,
        clock: Clock | None = None,
        transcript: Path | None = None,
    ) -> None:
        self.config = config or Config()
        self.config.check()
        self._behaviour = behaviour or Behaviour()
        self.clock = clock or Clock()
        self.ca_file: Path | None = None
        self._transcript_file = transcript
        self._transcript: RelayTranscript | None = None
        self._metrics: MetricsServer | None = None
        self._timeline: Timeline | None = None
        self._control: ControlServer | None = None
        self._relay: Relay | None = None
        self._server: RelayServer | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, and start the metrics, the controls and the timeline."""
        contexts = self._contexts_of(self.config)
        self.ca_file = contexts.ca_file
        with _errors("[tokens]"):
            relay = Relay(self.config, self._behaviour)
        if relay.keyring is not None:
            with _errors(f"[tokens] {relay.keyring}"):
                await asyncio.to_thread(relay.keyring.load, self.clock.monotonic())
        server = RelayServer(relay, contexts, self.clock)
        relay.faults.add_all(self.config.faults, self.clock.monotonic())
        with _errors(f"transcript {self._transcript_file}"):
            self._transcript = RelayTranscript(self.clock, self._transcript_file)
        self._transcript.listen(relay.tell)
        relay.tell.add(log_event, *LOGGED)
        listen = self.config.listen
        with _errors(f"can't listen on {Endpoint(listen.host, listen.port)}", " (port 0 takes a free one)"):
            await server.open(listen.host, listen.port)
        self._relay, self._server = relay, server
        try:
            if self.config.metrics.enabled:
                from cbspec_simulator.observe.metrics import RelayMetrics
                from cbspec_simulator.observe.metrics_server import MetricsServer

                with _errors(f"[metrics] port {self.config.metrics.port}"):
                    metrics = RelayMetrics(relay, self.clock.monotonic)
                    self._metrics = MetricsServer(metrics, self.config.metrics.port, self._behaviour)
            self._timeline = Timeline(self.config.timeline, self.controls, self.clock, relay.tell)
            if self.config.control.port is not None:
                control = self.config.control
                self._control = ControlServer(self.controls, control.host, control.port or 0, control.token)
        except ConfigError:
            await self.close()
            raise
        self.begin()

    def begin(self) -> None:
        """Count the times of faults and of the timeline from now on: clients know that the relay is ready."""
        self.relay.faults.begin(self.clock.monotonic())
        if self._timeline is not None:
            self._timeline.begin()

    async def close(self, grace: float = _GRACE) -> None:
        """Close all connections and servers; clients have `grace` seconds to close their ends."""
        if self._timeline is not None:
            self._timeline.close()
        if self._control is not None:
            await self._control.close()
            self._control = None
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        if self._server is not None:
            server, self._server = self._server, None
            await server.close(grace)
            self.transcript.close()

    async def drain(self, grace: float) -> None:
        """Refuse new work, and wait at most `grace` seconds for the open connections to end."""
        self.relay.tell(Controlled("drain", "by a signal"))
        self.relay.drain()
        if self._server is not None:
            await self._server.emptied(grace)

    def reload(self, config: Config) -> None:
        """Apply another configuration without closing a connection; address, metrics and control stay as they are.

        Raises ConfigError if it can't be used; the old configuration then stays in force.
        """
        config.check()
        contexts = self._contexts_of(config)
        with _errors("[tokens]"):
            self.relay.reconfigure(config)
        for table in ("listen", "metrics", "control"):
            if getattr(config, table) != getattr(self.config, table):
                log.warning("[%s] changed; the change applies when the relay is started again", table)
        config = replace(config, listen=self.config.listen, metrics=self.config.metrics, control=self.config.control)
        self.config, self.ca_file = config, contexts.ca_file
        self.server.use(contexts)
        self.relay.tell(Controlled("reload"))
        self.relay.drain(config.relay.draining)
        self.relay.faults.reset()
        self.relay.faults.spent.clear()
        self.relay.faults.seed = config.seed
        self.relay.faults.add_all(config.faults, self.clock.monotonic())
        if self._timeline is not None:
            self._timeline.close()
        self._timeline = Timeline(config.timeline, self.controls, self.clock, self.relay.tell)

    @property
    def connections(self) -> tuple[int, ...]:
        """The numbers of the open connections, also of those in their handshake."""
        return self._server.connections if self._server is not None else ()

    @property
    def actions_left(self) -> tuple[TimelineEntry, ...]:
        """The actions of the timeline that weren't reached yet."""
        return self._timeline.left if self._timeline is not None else ()

    def drop(self, number: int, how: ConnectionEnd) -> bool:
        """End a connection by its number; return whether it was open."""
        return self._server is not None and self._server.drop(number, how)

    @property
    def controls(self) -> Controls:
        """The controls of the running relay."""
        return Controls(self)

    @property
    def transcript(self) -> RelayTranscript:
        """The transcript so far."""
        assert self._transcript is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._transcript

    @property
    def relay(self) -> Relay:
        """The relay without I/O."""
        assert self._relay is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._relay

    @property
    def server(self) -> RelayServer:
        """The listening server."""
        assert self._server is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._server

    @property
    def address(self) -> tuple[str, int]:
        """The listening host and port."""
        return self.server.address

    @property
    def endpoint(self) -> Endpoint:
        """The address for clients on this machine."""
        host, port = self.address
        return Endpoint(_WILDCARDS.get(host, host), port)

    @property
    def metrics_url(self) -> str | None:
        """The URL of the metrics, if they are served."""
        return self._metrics.url if self._metrics else None

    @property
    def control_url(self) -> str | None:
        """The URL of the HTTP controls, if they are served."""
        return self._control.url if self._control else None

    def profile(self) -> target.Profile:
        """Return the profile with which the conformance suite tests this relay.

        Raises ConfigError if the suite couldn't mint tokens: the relay has public keys only.
        """
        config, endpoint = self.config, self.endpoint
        own = (endpoint.host,) if endpoint.host in _WILDCARDS.values() else ()
        return target.Profile(
            target=target.TargetSettings(address=endpoint, source_addresses=own),
            tls=target.TlsSettings(ca=DEVELOPMENT if config.certificate is None else self.ca_file),
            tokens=issuer_settings(config.tokens, self.relay.keyring),
            tenants=config.tenants,
            relay=target.RelayCapabilities(config.relay.connection_limit, config.relay.buffer_pool),
            remote=target.RemoteEnds(reachable=endpoint, dialled=config.relay.probe),
            metrics=target.MetricsEndpoint(self.metrics_url),
        )

    def _contexts_of(self, config: Config) -> Contexts:
        certificate = config.certificate
        names = dict.fromkeys((*_NAMES, config.listen.host, *config.names))
        try:
            return Contexts(certificate, self._behaviour, names)
        except (OSError, ssl.SSLError) as error:
            if certificate is None:
                raise
            raise ConfigError(f"[tls] {error.filename or certificate.chain}: {_unusable(error)}") from None


@contextmanager
def _errors(place: str, hint: str = "") -> Iterator[None]:
    """Raise errors as ConfigError with their place in the configuration."""
    try:
        yield
    except (OSError, OverflowError, ValueError) as error:
        raise ConfigError(f"{place}: {_reason(error)}{hint}") from None


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number).lower()  # asyncio's own text repeats the address
    return str(getattr(error, "strerror", None) or error)


def _unusable(error: OSError) -> str:
    """Return the reason in words for an error that OpenSSL names by a code."""
    if not isinstance(error, ssl.SSLError):
        return _reason(error)
    if error.errno is None:  # no error of OpenSSL's own
        return str(error.args[0])
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key isn't the certificate's"
    return "is no certificate in PEM form, or its key isn't with it; [tls] key can name another file"
