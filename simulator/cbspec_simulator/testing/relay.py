"""A relay for tests in the same process: blocking calls to a simulator in a thread of its own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from cbspec.tls_contexts import client_context
from cbspec.tokens.jwks import key_id
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.control.controls import ControlError, Controls, unused
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.settings.config import Config, ConfigError
from cbspec_simulator.testing.fault import LocalFault
from cbspec_simulator.testing.setup import Setup, Source
from cbspec_simulator.testing.thread import LoopThread
from cbspec_simulator.testing.transcript import LocalTranscript

T = TypeVar("T")

_HOUR = 3600.0
_NOT_STARTED = "the relay is not started: use it in a `with`"
_GRACE = 0.05  # seconds for clients to close: the end of a test must not wait for them


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """An open connection; `tenant` and `subject` are None until it has authenticated."""

    number: int
    transport: str
    address: str
    state: str
    tenant: str | None
    subject: str | None
    tunnels: tuple[str, ...]


class LocalRelay:
    """A relay on a free port of 127.0.0.1 during a `with`; the pytest fixture `relay` returns one.

        with LocalRelay("flaky-network") as relay:
            client = Client(*relay.address, relay.ssl_context(), relay.token())

    The relay runs in a thread and event loop of its own, so it serves blocking, asyncio and trio clients. Each call
    here blocks until the relay has carried it out, which takes microseconds and may be done in a coroutine. Only
    `transcript.wait_for` takes longer: in a coroutine, await `transcript.async_wait_for`.

    Arguments: `scenario` is a ready-made scenario (`cbspec simulate --list-scenarios`) or a TOML file; `config` is a
    file or mapping of the same form that overrides it; `faults` are active from the start (mappings as in a scenario's
    [[faults]]); `persona` is one or several defects (`--list-personas`); `variant` is one or several unusual but
    conforming behaviours (`--list-variants`). Relative files are looked up in `folder` first. Configured ports are
    replaced by free ones. Raises ConfigError if an argument is invalid; calls with a mistake raise ControlError.
    """

    def __init__(
        self,
        scenario: str | Path | None = None,
        *,
        config: Source | None = None,
        faults: Iterable[Mapping[str, Any]] = (),
        persona: str | Iterable[str] = (),
        variant: str | Iterable[str] = (),
        folder: Path | None = None,
    ) -> None:
        self._setup = self._present = Setup.of(
            scenario, config=config, faults=faults, persona=persona, variant=variant, folder=folder
        )
        self._simulator = self._made(self._setup)
        self._thread: LoopThread | None = None
        self._address: tuple[str, int] | None = None
        self._lasting = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<relay, not started>" if self._address is None else "<relay {}:{}>".format(*self._address)

    def start(self) -> None:
        """Start listening."""
        self._thread = LoopThread("cbspec relay")
        try:
            self._thread.run(self._simulator.start())
        except BaseException:
            self._thread.close()
            raise
        self._address = self._simulator.address

    def close(self) -> None:
        """Close all connections, and end the thread."""
        if self._thread is not None and not self._thread.ended:
            self._thread.run(self._simulator.close(_GRACE))
            self._thread.close()

    @property
    def setup(self) -> Setup:
        """The setup of the last start or `renew`."""
        return self._present

    def reset(self) -> None:
        """Restore the initial state at the same address: setup, clock, and an empty transcript.

        Connections are dropped. A reset takes some milliseconds; use it between the examples of a property.
        """
        self.renew(self._setup)

    def renew(self, setup: Setup | None = None, *, lasting: bool = False) -> None:
        """Restart at the same address with another setup (default: the initial one).

        With `lasting`, the connections that were open at `keep_connections` stay open, unless the clock was advanced or
        the persona or variant differs. Raises ConfigError if the setup is invalid; the previous one then remains.
        """
        setup = setup or self._setup
        kept = lasting and any(one.number <= self._lasting for one in self.connections)
        if kept and setup.character == self._present.character and self._simulator.clock.ahead == 0:
            config = setup.read(self.port)
            self._running.call(lambda: self._reload(config))
        else:
            simulator = self._made(setup, self.port)
            self._running.run(self._replace(simulator))
            self._lasting = 0
        self._present = setup

    def keep_connections(self) -> None:
        """Mark the connections so far as those that `renew(lasting=True)` keeps."""
        self._lasting = self._running.call(lambda: self._simulator.relay.connected)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port."""
        if self._address is None:
            raise RuntimeError(_NOT_STARTED)
        return self._address

    @property
    def host(self) -> str:
        """The host, 127.0.0.1."""
        return self.address[0]

    @property
    def port(self) -> int:
        """The port."""
        return self.address[1]

    @property
    def ca_file(self) -> Path:
        """The PEM file of the CA that signed the relay's certificate (for 127.0.0.1 and localhost)."""
        if self._simulator.ca_file is None:
            raise RuntimeError(_NOT_STARTED)
        return self._simulator.ca_file

    def ssl_context(self) -> ssl.SSLContext:
        """Return a client context for TLS 1.3 that trusts only the CA of this relay."""
        return client_context(self.ca_file)

    def token(
        self, tenant: str = "tenant-001", subject: str = "user123", *, lifetime: float = _HOUR, **claims: object
    ) -> str:
        """Mint a token that the relay accepts.

        Arguments: `lifetime` is in seconds of the relay's clock; `claims` add or replace claims (None removes one).
        Raises ControlError if the relay has only public keys, and [tokens] signing_key_file is not set.
        """
        now, usual = int(self._simulator.clock.epoch()), self._simulator.config.tokens.claims()
        times = {"iat": now, "exp": int(now + lifetime)}
        wanted = {"sub": subject, "tenant_id": tenant, **times, **usual, **claims}
        key = self._signing_key()
        headers = {} if key.symmetric else {"kid": key_id(key)}
        return mint(key, {name: value for name, value in wanted.items() if value is not None}, headers)

    def fault(
        self,
        kind: str | None = None,
        /,
        *,
        when: Mapping[str, Any] | None = None,
        name: str | None = None,
        sequence: Iterable[Mapping[str, Any]] | None = None,
        repeat: bool | None = None,
        **params: Any,  # noqa: ANN401 - any JSON value
    ) -> LocalFault:
        """Add a fault, which is active until it is removed or its `with` ends.

            relay.fault("latency", seconds=0.3)
            with relay.fault("error", code="server_unavailable", when={"message": "auth", "times": 2}):
                ...

        Arguments: `kind` and its `params` as in `cbspec fault kinds`, or a `sequence` of such mappings, one for each
        strike (`repeat` starts it again at its end); `when` holds the conditions. Raises ControlError if it is invalid.
        """
        steps = None if sequence is None else [dict(step) for step in sequence]
        given = {"name": name, "kind": kind, "when": dict(when) if when else None, "sequence": steps, "repeat": repeat}
        return LocalFault(self._do, {**params, **{key: value for key, value in given.items() if value is not None}})

    def drain(self, draining: bool = True) -> None:
        """Refuse new work with `server_unavailable`, or accept it again; open tunnels continue."""
        self._do(lambda controls: controls.drain(draining=draining))

    def limit(self, **limits: int | None) -> None:
        """Change limits of the whole relay: connection_limit, buffer_pool (None: no limit)."""
        self._do(lambda controls: controls.limit(limits))

    def limit_tenant(self, tenant: str = "tenant-001", /, **changes: Any) -> None:  # noqa: ANN401 - as a file has them
        """Change a tenant: tunnel_limit, connection_limit, rate, allowed_addresses (None: no limit), active."""
        self._do(lambda controls: controls.limit_tenant(tenant, changes))

    def advance(self, seconds: float) -> None:
        """Advance the relay's clock, which affects tokens, rate limits and idle time-outs."""
        self._do(lambda controls: controls.advance(seconds))

    @property
    def transcript(self) -> LocalTranscript:
        """The transcript so far."""
        return LocalTranscript(self._running, lambda: self._simulator.transcript)

    @property
    def never_struck(self) -> list[str]:
        """A sentence for each fault that hasn't struck, also a removed one, and for each action not reached yet."""
        return self._do(lambda controls: list(unused(controls.never_struck())))

    @property
    def connections(self) -> list[OpenConnection]:
        """The open connections that have sent a message, in the order of their numbers."""
        found = self._do(lambda controls: controls.connections())
        return [OpenConnection(**{**each, "tunnels": tuple(each["tunnels"])}) for each in found]

    def drop(self, number: int | None = None, how: str = "reset") -> None:
        """Close the connection with a number, or all connections.

        Arguments: `how` is reset, close, close-without-notify or half-close.
        """
        if number is None:
            self._do(lambda controls: controls.drop_all(how))
        else:
            self._do(lambda controls: controls.drop(number, how))

    @property
    def _running(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError(_NOT_STARTED)
        return self._thread

    def _do(self, act: Callable[[Controls], T]) -> T:
        return self._running.call(lambda: act(self._simulator.controls))

    def _signing_key(self) -> SigningKey:
        tokens = self._simulator.config.tokens
        key = tokens.signing_key() or (tokens.key() if tokens.source() is None else None)
        if key is None:
            raise ControlError("the relay has only public keys: set [tokens] signing_key_file")
        return key

    def _made(self, setup: Setup, port: int = 0) -> Simulator:
        return Simulator(setup.read(port), behaviour=setup.behaviour())

    def _reload(self, config: Config) -> None:
        """Apply a configuration, and keep the lasting connections."""
        simulator = self._simulator
        simulator.reload(config)
        simulator.relay.reset_rates()
        for number in range(self._lasting + 1, simulator.relay.connected + 1):
            simulator.drop(number, ConnectionEnd.RESET)
        simulator.transcript.clear()

    async def _replace(self, simulator: Simulator) -> None:
        await self._simulator.close(_GRACE)
        try:
            await simulator.start()
        except ConfigError:
            self._simulator = self._made(self._present, self.port)
            await self._simulator.start()
            raise
        self._simulator = simulator
