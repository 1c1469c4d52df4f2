"""The relay as a server: a listening socket, its connections, its certificate and its metrics, from start to end."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cbspec.profile import target
from cbspec.profile.target import DEVELOPMENT, Endpoint
from cbspec_simulator.app.timeline import Timeline
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.base.events import Answered, Connected, Decided, Ended, Received
from cbspec_simulator.control.controls import Controls
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.edge import Edge
from cbspec_simulator.edge.listener import Door
from cbspec_simulator.edge.peer import Peer
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.observe.log import tell
from cbspec_simulator.observe.metrics import RelayMetrics
from cbspec_simulator.observe.metrics_server import MetricsServer
from cbspec_simulator.observe.transcript import RelayTranscript
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import Config, ConfigError, ControlRules
from cbspec_simulator.settings.keyring import Keyring, reason

if TYPE_CHECKING:
    from cbspec_simulator.control.server import ControlServer

log = logging.getLogger("simulator")

_GRACE = 1.0  # seconds for open connections to take in the end
_NAMES = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on


class Simulator:
    """A relay on a socket of its own, for the time of an `async with`.

        async with Simulator(Config(listen=Listen(port=0))) as simulator:
            host, port = simulator.address

    Arguments: `config` says what it serves, `behaviour` how (the default conforms), `clock` what time it is,
    `transcript` in which file what is said is taken down. Raises ConfigError where one of them can't be used.
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
        self._edge: Edge | None = None
        self._door: Door | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen."""
        contexts = self._contexts_of(self.config)
        self.ca_file = contexts.ca_file
        try:
            relay = Relay(self.config, self._behaviour)
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tokens]: {_reason(error)}") from None
        await self._load_keys(relay.keyring)
        edge = Edge(relay, contexts, self.clock)
        relay.faults.add_all(self.config.faults, self.clock.monotonic())
        relay.faults.watch(lambda: None, edge.released)
        door = Door(lambda: Peer(edge), relay.faults, self.clock)
        self.clock.watch(edge.clock_moved)
        try:
            self._transcript = RelayTranscript(self.clock, self._transcript_file)
        except OSError as error:
            raise ConfigError(f"transcript {self._transcript_file}: {_reason(error)}") from None
        self._transcript.listen(relay.tell)
        relay.tell.add(tell, Connected, Received, Answered, Decided, Ended)
        listen = self.config.listen
        try:
            await door.open(listen.host, listen.port)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"can't listen on {Endpoint(listen.host, listen.port)}: {_reason(error)} (port 0 takes a free one)"
            ) from None
        self._relay, self._edge, self._door = relay, edge, door
        if self.config.metrics.enabled:
            try:
                metrics = RelayMetrics(relay, self.clock.monotonic)
                self._metrics = MetricsServer(metrics, self.config.metrics.port, self._behaviour)
            except OSError as error:
                await self.close()
                raise ConfigError(f"[metrics] port {self.config.metrics.port}: {_reason(error)}") from None

        self._timeline = Timeline(self.config.timeline, self.controls, self.clock)
        if self.config.control.port is not None:
            try:
                self._control = self._controlled(self.config.control)
            except ConfigError:
                await self.close()
                raise

    def _controlled(self, rules: ControlRules) -> ControlServer:
        # What serves HTTP takes a third of a second to import: only who wants it pays for it.
        from cbspec_simulator.control.server import ControlServer

        return ControlServer(self.controls, rules.host, rules.port or 0, rules.token)

    async def _load_keys(self, keyring: Keyring | None) -> None:
        if keyring is None:
            return
        try:
            await asyncio.to_thread(keyring.load, self.clock.monotonic())
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tokens] {keyring}: {reason(error)}") from None

    async def close(self, grace: float = _GRACE) -> None:
        """End: every connection is closed, and everything is given back; clients have `grace` seconds to close, too."""
        if self._timeline is not None:
            self._timeline.close()
        if self._control is not None:
            await self._control.close()
            self._control = None
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
            self._metrics = None
        if self._door is None or self._edge is None:
            return
        door, self._door = self._door, None
        door.close()
        for peer in tuple(self._edge.peers.values()):
            peer.finish()
        await self._edge.emptied(grace)
        for peer in tuple(self._edge.peers.values()):
            peer.abort()
        if self._edge.peers:
            await self._edge.empty.wait()
        self.transcript.close()

    async def drain(self, grace: float) -> None:
        """Take no new work, and wait for what is open to end, at most `grace` seconds."""
        self.relay.draining = True
        if self._edge is not None:
            await self._edge.emptied(grace)

    def reload(self, config: Config) -> None:
        """Go on by another configuration without dropping a connection; address, metrics and control stay as they are.

        Raises ConfigError where it can't be used: then nothing changed.
        """
        config.check()
        contexts = self._contexts_of(config)
        try:
            self.relay.reconfigure(config)
        except (OSError, ValueError) as error:
            raise ConfigError(f"[tokens]: {_reason(error)}") from None
        assert self._edge is not None, "not started"  # noqa: S101 - a mistake of the caller's
        for table in ("listen", "metrics", "control"):
            if getattr(config, table) != getattr(self.config, table):
                log.warning("[%s] changed, and stays as it was until the relay is started again", table)
        config = replace(config, listen=self.config.listen, metrics=self.config.metrics, control=self.config.control)
        self.config, self._edge.contexts, self.ca_file = config, contexts, contexts.ca_file
        self.relay.draining = config.relay.draining
        self.relay.faults.reset()
        self.relay.faults.seed = config.seed
        self.relay.faults.add_all(config.faults, self.clock.monotonic())
        if self._timeline is not None:
            self._timeline.close()
        self._timeline = Timeline(config.timeline, self.controls, self.clock)

    def drop(self, number: int, how: ConnectionEnd) -> bool:
        """End one connection, by its number; say whether it was there."""
        peer = self._edge.peers.get(number) if self._edge else None
        if peer is not None:
            peer.finish(None if how is ConnectionEnd.CLOSE else how)  # its usual way has the transport's goodbye
        return peer is not None

    @property
    def controls(self) -> Controls:
        """What can be done to the relay while it runs."""
        return Controls(self)

    @property
    def transcript(self) -> RelayTranscript:
        """What was said so far."""
        assert self._transcript is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._transcript

    @property
    def relay(self) -> Relay:
        """What the connections share."""
        assert self._relay is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._relay

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on which the relay listens."""
        assert self._door is not None, "not started"  # noqa: S101 - a mistake of the caller's
        return self._door.addresses[0]

    @property
    def endpoint(self) -> Endpoint:
        """The address at which a client on this machine finds the relay."""
        host, port = self.address
        return Endpoint(_WILDCARDS.get(host, host), port)

    @property
    def metrics_url(self) -> str | None:
        """Where the metrics are, if they are served."""
        return self._metrics.url if self._metrics else None

    @property
    def control_url(self) -> str | None:
        """Where the relay can be controlled over HTTP, if it can."""
        return self._control.url if self._control else None

    def profile(self) -> target.Profile:
        """Return what the conformance suite may know of this relay.

        Raises ConfigError where the suite couldn't mint tokens: the relay knows public keys only.
        """
        config, endpoint = self.config, self.endpoint
        return target.Profile(
            target=target.Target(address=endpoint, source_addresses=_source_addresses(endpoint.host)),
            tls=target.Tls(ca=DEVELOPMENT if config.certificate is None else self.ca_file),
            tokens=self._minting(),
            tenants=config.tenants,
            relay=target.Relay(config.relay.connection_limit, config.relay.buffer_pool),
            remote=target.Remote(reachable=endpoint, dialled=config.relay.probe),
            metrics=target.Metrics(self.metrics_url),
        )

    def _minting(self) -> target.Tokens:
        rules, keyring = self.config.tokens, self.relay.keyring
        if keyring is None:
            return target.Tokens(
                secret=rules.secret, key_file=rules.key_file, development=rules.development, claims=rules.claims()
            )
        key = rules.signing_key()
        if key is None:
            raise ConfigError("[tokens] signing_key_file: is needed for a profile, or the suite couldn't mint tokens")
        public = keyring.keys.holding(key)
        if public is None:
            raise ConfigError(f"[tokens] signing_key_file: its public half ({key.algorithm}) isn't in {keyring}")
        return target.Tokens(key_file=rules.signing_key_file, key_id=public.key_id, claims=rules.claims())

    def _contexts_of(self, config: Config) -> Contexts:
        certificate = config.certificate
        names = dict.fromkeys((*_NAMES, config.listen.host))
        try:
            return Contexts(certificate, self._behaviour, names)
        except (OSError, ssl.SSLError) as error:
            if certificate is None:
                raise
            raise ConfigError(f"[tls] {error.filename or certificate.chain}: {_unusable(error)}") from None


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number).lower()  # asyncio's own text repeats the address
    return str(getattr(error, "strerror", None) or error).lower()


def _unusable(error: OSError) -> str:
    """Say in words what OpenSSL says in numbers of its source's lines."""
    if not isinstance(error, ssl.SSLError):
        return _reason(error)
    if error.errno is None:  # no error of OpenSSL's own
        return str(error.args[0])
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key isn't the certificate's"
    return "is no certificate in PEM form, or its key isn't with it; [tls] key can name another file"


def _source_addresses(host: str) -> tuple[str, ...]:
    return (host,) if host in ("127.0.0.1", "::1") else ()
