"""A relay for tests in the same process: blocking calls around a simulator that runs in a thread of its own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cbspec.protocol.tls import client_context
from cbspec.tokens.jwks import key_id
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.settings.config import Config, ConfigError
from cbspec_simulator.testing.fault import LocalFault
from cbspec_simulator.testing.setup import Setup, Source
from cbspec_simulator.testing.thread import LoopThread
from cbspec_simulator.testing.transcript import LocalTranscript

T = TypeVar("T")

_HOUR = 3600.0
_NOT_STARTED = "the relay is not started: use it in a `with`"
_GRACE = 0.05  # seconds for clients to close their end: a test that is over doesn't wait for them


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """A connection that is open; `tenant` and `subject` are None until it has authenticated."""

    number: int
    transport: str
    address: str
    state: str
    tenant: str | None
    subject: str | None
    tunnels: tuple[str, ...]


class LocalRelay:
    """A relay on a free port of 127.0.0.1, for the time of a `with`; pytest gives it as the fixture `relay`.

        with LocalRelay("flaky-network") as relay:
            client = Client(*relay.address, relay.ssl_context(), relay.token())

    It runs in a thread and an event loop of its own, so it serves blocking clients, asyncio's and trio's alike. Every
    call here blocks until the relay has done it, which is a matter of microseconds: as good in a coroutine. Only
    `transcript.wait_for` may take longer; `transcript.async_wait_for` is its awaitable twin.

    Arguments: `scenario` is a ready-made one (`cbspec simulate --list-scenarios`) or a TOML file; `config` another
    file, or a mapping of the same form, laid over it; `faults` strike from the start (mappings as in a scenario's
    [[faults]]); `persona` makes the relay wrong in a way, or several, of `cbspec simulate --list-personas`; `variant`
    right and different in one, or several, of `--list-variants`; relative files are looked for in `folder` first.
    Configured ports are ignored: all are free ones. Raises ConfigError where
    one of them can't be used. Calls with a mistake in them raise ControlError.
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
        setup = Setup.of(scenario, config=config, faults=faults, persona=persona, variant=variant, folder=folder)
        self._use(setup)

    @classmethod
    def of(cls, setup: Setup) -> Self:
        """Return the relay of a setup; raises as the construction does."""
        made = cls.__new__(cls)
        made._use(setup)
        return made

    def _use(self, setup: Setup) -> None:
        self._setup = self._present = setup
        self._simulator = self._made(setup)
        self._thread: LoopThread | None = None
        self._address: tuple[str, int] | None = None
        self._lasting = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<relay, not started>" if self._address is None else "<relay {}:{}>".format(*self._address)

    # ------------------------------------------------------------------ its life

    def start(self) -> None:
        """Listen."""
        self._thread = LoopThread("cbspec relay")
        try:
            self._thread.run(self._simulator.start())
        except BaseException:
            self._thread.close()
            raise
        self._address = self._simulator.address

    def close(self) -> None:
        """End: connections are closed, and the thread is gone."""
        if self._thread is not None and not self._thread.ended:
            self._thread.run(self._simulator.close(_GRACE))
            self._thread.close()

    @property
    def setup(self) -> Setup:
        """What the relay was told when it began last."""
        return self._present

    def reset(self) -> None:
        """Begin anew at the same address: no faults and limits but those it began with, no time moved, nothing said.

        Connections are dropped. That takes some milliseconds, and is of use between the examples of a property.
        """
        self.renew(self._setup)

    def renew(self, setup: Setup | None = None, *, lasting: bool = False) -> None:
        """Begin anew at the same address as another setup says (None: that of the construction).

        With `lasting` the connections that were there at `keep_connections` stay open, unless the clock was moved, or
        persona or variant is another one. Raises ConfigError where the setup can't be used: then the one before still
        holds.
        """
        setup = setup or self._setup
        kept = lasting and any(one.number <= self._lasting for one in self.connections)
        if kept and setup.character == self._present.character and self._simulator.clock.ahead == 0:
            config = setup.read(self.port)
            self._running.call(lambda: self._go_on_by(config))
        else:
            simulator = self._made(setup, self.port)
            self._running.run(self._replace(simulator))
            self._lasting = 0
        self._present = setup

    def keep_connections(self) -> None:
        """Let `renew` keep the connections that were opened so far, where it is asked to."""
        self._lasting = self._running.call(lambda: self._simulator.relay.connected)

    # ------------------------------------------------------------------ where it is, and whom to trust

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
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
        """The PEM file of the CA that vouches for the relay (for 127.0.0.1 and localhost)."""
        if self._simulator.ca_file is None:
            raise RuntimeError(_NOT_STARTED)
        return self._simulator.ca_file

    def ssl_context(self) -> ssl.SSLContext:
        """Return a client's context: TLS 1.3, and trust in this relay's CA alone."""
        return client_context(self.ca_file)

    def token(
        self, tenant: str = "tenant-001", subject: str = "user123", *, lifetime: float = _HOUR, **claims: object
    ) -> str:
        """Mint a token that the relay accepts.

        Arguments: `lifetime` is in seconds of the relay's clock; `claims` are added, or replace what would be there
        (None: the claim is left out). Raises ControlError where the relay knows no key that signs: it verifies by an
        issuer's public keys, and [tokens] signing_key_file names none.
        """
        tokens = self._simulator.config.tokens
        now = int(self._simulator.clock.epoch())
        said = {
            "sub": subject,
            "tenant_id": tenant,
            "iat": now,
            "exp": int(now + lifetime),
            **tokens.claims(),
            **claims,
        }
        key = self._signing_key()
        headers = {} if key.symmetric else {"kid": key_id(key)}
        return mint(key, {name: value for name, value in said.items() if value is not None}, headers)

    # ------------------------------------------------------------------ what goes wrong

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
        """Let a fault strike from now on, until it is removed or the `with` that it is used in ends.

            relay.fault("latency", seconds=0.3)
            with relay.fault("error", code="server_unavailable", when={"message": "auth", "times": 2}):
                ...

        Arguments: `kind` and its `params` as `cbspec fault kinds` lists them, or a `sequence` of such mappings, one
        strike after the other (`repeat`: and from the beginning again); `when` narrows it down to messages, tenants,
        occasions. Raises ControlError with every mistake in them.
        """
        steps = None if sequence is None else [dict(step) for step in sequence]
        said = {"name": name, "kind": kind, "when": dict(when) if when else None, "sequence": steps, "repeat": repeat}
        return LocalFault(self._do, {**params, **{key: value for key, value in said.items() if value is not None}})

    def drain(self, draining: bool = True) -> None:
        """Take no new work from now on (`server_unavailable`), or take it again; what is open goes on."""
        self._do(lambda controls: controls.drain(draining=draining))

    def limit(self, **limits: int | None) -> None:
        """Change limits of the whole relay: connection_limit, buffer_pool (None: no limit)."""
        self._do(lambda controls: controls.limit(limits))

    def limit_tenant(self, tenant: str = "tenant-001", /, **changes: Any) -> None:  # noqa: ANN401 - as a file has them
        """Change what a tenant may: tunnel_limit, connection_limit, rate, allowed_addresses, active (None: any)."""
        self._do(lambda controls: controls.limit_tenant(tenant, changes))

    def advance(self, seconds: float) -> None:
        """Move the relay's clock forward: tokens expire, rates recover, connections have been silent for so long."""
        self._do(lambda controls: controls.advance(seconds))

    # ------------------------------------------------------------------ what is open, and what was said

    @property
    def transcript(self) -> LocalTranscript:
        """What was said so far."""
        return LocalTranscript(self._running, lambda: self._simulator.transcript)

    @property
    def connections(self) -> list[OpenConnection]:
        """The connections that are open and have said something, in the order in which they came."""
        found = self._do(lambda controls: controls.connections())
        return [OpenConnection(**{**each, "tunnels": tuple(each["tunnels"])}) for each in found]

    def drop(self, number: int | None = None, how: str = "reset") -> None:
        """End a connection by its number, or all of them.

        Arguments: `how` is reset, close, close-without-notify or half-close.
        """
        if number is None:
            self._do(lambda controls: controls.drop_all(how))
        else:
            self._do(lambda controls: controls.drop(number, how))

    # ------------------------------------------------------------------ inside

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
            raise ControlError("the relay knows its issuer's public keys alone: name [tokens] signing_key_file, too")
        return key

    def _made(self, setup: Setup, port: int = 0) -> Simulator:
        return Simulator(setup.read(port), behaviour=setup.behaviour())

    def _go_on_by(self, config: Config) -> None:
        """Begin anew with the connections that last."""
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
