"""The relay under test, as a case sees it: sessions in the state that the case needs, and valid requests.

Whatever brings a session into that state is a control: where it doesn't work, the case is inconclusive, since a relay
that refuses everything must not pass a single refusal. A limit that stays hit after the connections that used it up
have closed is besides a breach of that limit's own requirement, wherever it is seen.
"""

from __future__ import annotations

import contextlib
import itertools
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import Condition, Endpoint, Profile, Tenant
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.forgery import MISSING, Forgery, by_requirement
from cbspec_conformance.failures.recipes import RUN, SPOILED
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom, NotExercised
from cbspec_conformance.judging.expectation import Expectation, Kind
from cbspec_conformance.judging.invariants import Breach
from cbspec_conformance.probe.session import HELLO, Session
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.tempo import Tempo, retry
from cbspec_conformance.probe.wire import HandshakeFailure, Wire
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.frames import LARGEST, StrictWebSocket, stream_framer
from cbspec_conformance.record.transcript import Message, Transcript
from cbspec_conformance.target.contexts import context_for
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.given import Given
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.pace import Pacer
from cbspec_conformance.target.provoke import provoked
from cbspec_conformance.target.watch import Watch

_numbers = itertools.count(1)

_Made = TypeVar("_Made")

_LIMITS = {
    ("tenant_limit_exceeded", "auth"): ("CB-LIM-014", "tenants.connection_limit"),
    ("tenant_limit_exceeded", "tunnel_info"): ("CB-LIM-006", "tenants.tunnel_limit"),
    ("connection_limit_reached", "hello"): ("CB-CON-005", "relay.connection_limit"),
    ("connection_limit_reached", "auth"): ("CB-CON-005", "relay.connection_limit"),
    ("buffer_pool_exhausted", "tunnel_info"): ("CB-BUF-003", "relay.buffer_pool"),
}
"""Which requirement a limit breaks that stays hit after connections closed, and the key that declares the limit."""


NO_ANSWER = "no answer to the opening handshake"
"""Why no WebSocket was opened where the relay kept silent."""

CLOSED = "the connection was closed without an answer to the opening handshake"
"""Why no WebSocket was opened where it did that: one that is full may, and lives."""


class WebSocketRefused(Inconclusive):
    """No WebSocket was opened; `status` is the HTTP status of the answer, if there was one."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(f"no WebSocket was opened: {reason}")
        self.reason = reason
        self.status = status


class Target(Given, Watch):
    """The relay under test for the length of one case.

    Arguments: `profile` and `facts` are what is known of the relay; `case` is the case's node id; `locks` keep other
    processes from what this one counts on; `pace` keeps below declared rates; `issuer` makes tokens; `tempo` says
    how long to wait.
    """

    def __init__(
        self, profile: Profile, facts: Facts, case: str, *, locks: Locks, pace: Pacer, issuer: Issuer, tempo: Tempo
    ) -> None:
        Given.__init__(self, profile, facts, locks)
        Watch.__init__(self, Transcript(), case, str(profile.target.address or ""))
        self.issuer = issuer
        self.tempo = tempo
        self.pace = pace
        self.trouble: Unreachable | HandshakeFailure | None = None
        self.restless = False
        self.mute = False
        self._connections = 0

    # ------------------------------------------------------------------ sessions

    def connect(
        self,
        *,
        at: Endpoint | None = None,
        source: str | None = None,
        transport: str = "",
        context: ssl.SSLContext | None = None,
        resume: ssl.SSLSession | None = None,
        narrow: bool = False,
    ) -> Session:
        """Return a session with nothing said yet: TLS is up, and the WebSocket open where that is the transport.

        `at` is another address than the target's, `source` a local address to connect from, `resume` the TLS session
        of an earlier connection; a `narrow` connection has hardly room for what isn't read. Raises Unreachable,
        HandshakeFailure or Inconclusive (no WebSocket).
        """
        transport = transport or self.facts.transport
        endpoint = at or self.endpoint
        self.take_connection()
        self._connections += 1
        wire = Wire(self._connections, self.transcript, self.profile.target.timeout)
        try:
            wire.open(
                endpoint,
                context or self._context,
                name=self.server_name,
                source=source or self.source,
                transport=transport,
                resume=resume,
                narrow=narrow,
            )
        except (Unreachable, HandshakeFailure) as error:
            if (
                at is None
                and source is None
                and (isinstance(error, Unreachable) or (context is None and error.timed_out))
            ):
                self.trouble = error
            raise
        framer = self._websocket(wire, endpoint) if transport == "websocket" else stream_framer()
        session = Session(
            wire,
            framer,
            self.transcript,
            tempo=self.tempo,
            observe=self.observe,
            alive=self.alive,
            pace=self.pace,
            take=self.pace.take,
            fence=self.facts.fence,
            secrets=self.secrets,
        )
        self._sessions.append(session)
        return session

    def greeted(self, *, at: Endpoint | None = None, source: str | None = None, transport: str = "") -> Session:
        """Return a session after hello. A control: Inconclusive where that doesn't work."""
        if self.facts.hello:
            raise Inconclusive(f"hello doesn't work on this relay: {self.facts.hello}")
        if at is None:
            self.count_connection()
        with self.control("hello"):
            for attempt in self._attempts():
                session = self.connect(at=at, source=source, transport=transport)
                exchange = session.hello()
                if not self._full(exchange, "", attempt):
                    judge.accepted(exchange)
                    return session
                session.close()
        raise AssertionError("unreachable")  # pragma: no cover

    def authenticated(
        self,
        tenant: Tenant | None = None,
        *,
        subject: str | None = None,
        at: Endpoint | None = None,
        source: str | None = None,
        transport: str = "",
        token: str = "",
    ) -> Session:
        """Return a session after hello and auth for `tenant` (None: the main one), with `token` if given. A control."""
        tenant = tenant or self.tenant
        token = token or self.token(tenant, subject)
        if self.facts.auth and at is None:
            raise Inconclusive(f"auth doesn't work on this relay: {self.facts.auth}")
        self.use(tenant, connections=1)
        with self.control(f"auth of {tenant.id}"):
            for attempt in self._attempts():
                session = self.greeted(at=at, source=source, transport=transport)
                exchange = self.authenticate(session, tenant, token=token)
                if not self._full(exchange, tenant.id, attempt):
                    judge.accepted(exchange)
                    return session
                session.close()
        raise AssertionError("unreachable")  # pragma: no cover

    def authenticate(self, session: Session, tenant: Tenant, *, token: str = "") -> Exchange:
        """Send a valid auth of `tenant` on `session` and return the exchange; no control.

        Raises Inconclusive where the relay takes none of the suite's tokens.
        """
        if self.facts.rejected:
            raise Inconclusive(self.facts.auth)
        session.tenant = tenant.id
        exchange = session.ask({"type": "auth", "token": token or self.token(tenant)})
        session.authenticated = judge.served(exchange)
        return exchange

    def open_tunnel(self, session: Session) -> Exchange:
        """Open a valid tunnel on an authenticated session. A control."""
        if self.facts.tunnel and session.tenant == self.tenant.id:
            raise Inconclusive(f"tunnels don't work on this relay: {self.facts.tunnel}")
        self.count_tunnel(session.tenant)
        with self.control("a valid tunnel_info"):
            for attempt in self._attempts():
                exchange = session.ask(self.tunnel_info(session.tenant), fence=False)
                if not self._full(exchange, session.tenant, attempt):
                    judge.accepted(exchange)
                    return exchange
                if session.ended:
                    code = judge.error_code(exchange)
                    raise NoRoom(f"the relay answers {code} to a valid tunnel_info and closes the connection")
        raise AssertionError("unreachable")  # pragma: no cover

    def beat(self, session: Session) -> None:
        """See that a heartbeat is answered on an authenticated session. A control."""
        self.needs("heartbeat")
        with self.control("a heartbeat"):
            judge.accepted(session.heartbeat())

    @contextlib.contextmanager
    def control(self, what: str) -> Iterator[None]:
        """Turn a failure inside into Inconclusive: what is to be judged can't be, without `what`."""
        try:
            yield
        except Broken as broken:
            raise Inconclusive(f"the control failed: {what}: expected {broken.expected}; seen: {broken.seen}") from None
        except (Unreachable, HandshakeFailure) as error:
            raise Inconclusive(f"the control failed: {what}: {error}") from None

    # ------------------------------------------------------------------ requests

    def tunnel_info(self, tenant: str = "", **changes: object) -> dict[str, Any]:
        """Return a valid tunnel_info with a tunnel_id that is new in this run; `changes` replace members."""
        remote = self.profile.remote.reachable
        message: dict[str, Any] = {
            "type": "tunnel_info",
            "tunnel_id": f"cbspec-{RUN}-{next(_numbers)}",
            "tenant_id": tenant or self.tenant.id,
            "local_port": 3389,
            "remote_host": remote.host,
            "remote_port": remote.port,
        }
        return {**message, **changes}

    def token(self, tenant: Tenant, subject: str | None = None) -> str:
        """Return a valid token for `tenant`.

        Raises NotExercised where the profile gives neither a key nor a ready-made one.
        """
        try:
            token = self.issuer.valid(tenant.id, subject)
        except ProfileLacks as lacks:
            raise NotExercised(str(lacks)) from None
        self.recipes.valid(token, tenant.id, subject)
        return token

    def minted(
        self,
        tenant: Tenant,
        changes: Mapping[str, object],
        headers: Mapping[str, object] | None = None,
        algorithm: str = "",
    ) -> str:
        """Return a token with other claims, headers or algorithm, signed with the right key; see `Issuer.minted`.

        Raises NotExercised where the profile doesn't give the key.
        """
        try:
            return self.issuer.minted(tenant.id, changes, headers, algorithm)
        except ProfileLacks as lacks:
            raise NotExercised(str(lacks)) from None

    def forged(self, forgery: Forgery, valid: str) -> object:
        """Return a bad token of one kind, made of the main tenant's `valid` one.

        Raises NotExercised where the profile gives neither the key that it takes nor a ready-made one.
        """
        try:
            second = self.profile.second_tenant
            token = self.issuer.forged(forgery, self.tenant.id, second.id if second else "", valid)
        except ProfileLacks as lacks:
            raise NotExercised(str(lacks)) from None
        self.recipes.forged(token, forgery.name, valid)
        return token

    def show_forged(self, forgery: Forgery, valid: str) -> Exchange:
        """Show a bad token made of `valid` after hello, and a tunnel_info behind it where the connection is open."""
        return self.show(self.forged(forgery, valid), forgery.sentence)

    def show(self, token: object, why: str) -> Exchange:
        """Show a token that is to be refused, on a new connection; a tunnel that is opened behind it is a breach."""
        session = self.greeted()
        request = {"type": "auth"} if token is MISSING else {"type": "auth", "token": token}
        exchange = session.ask(request, invalid=why, followed=True)
        if any(answer.type == "error" for answer in exchange.answers) and not session.ended:
            after = session.ask(self.tunnel_info())
            if judge.served(after):
                seen = f"{judge.describe(after.answers[0])}, after the token was refused"
                breach = Breach("CB-AUT-016", "no tunnel after a refused auth", seen)
                self.breach(breach, after, expectation=Expectation(Kind.NOT_ACCEPTED))
        session.close()
        return exchange

    def each_forgery(self, identifier: str, check: Callable[[Forgery], None]) -> None:
        """Call `check` with every forgery of a requirement that can be made; what can't be is named where none can."""
        lacks: NotExercised | None = None
        possible: dict[str, Forgery] = {}
        for forgery in by_requirement(identifier):
            try:
                self.forged(forgery, self.token(self.tenant))
            except NotExercised as error:
                lacks = lacks or error
            else:
                possible[forgery.name] = forgery
        if not possible and lacks is not None:
            raise lacks
        each(possible, check)

    def spoiled_token(self, tenant: Tenant) -> str:
        """Return a token whose signature is not right."""
        return self.spoil(self.token(tenant))

    def spoil(self, valid: str) -> str:
        """Return a valid token with other letters at its end; unlike most forgeries it works for any kind of token."""
        token = valid[:-4] + ("AAAA" if not valid.endswith("AAAA") else "BBBB")
        self.recipes.forged(token, SPOILED, valid)
        return token

    def alive(self) -> bool:
        """Whether a new connection is answered now: the control beside a silent one."""
        if not self.has_room():
            for deaf in [session for session in self.open_sessions if session.deaf]:
                deaf.close()
        try:
            session = self.connect()
            session.send_unanswered(session.note(HELLO)[1])
            answered = bool(session.answers(1))
            silent = not answered and session.ended is None
        except (Unreachable, HandshakeFailure, Inconclusive, NotExercised) as error:
            answered, silent = False, _is_silence(error)
        self.mute = self.mute or silent
        return answered

    def hang_up(self) -> None:
        """Close every session of the case and give the relay time to notice; what the case counts on stays its own."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    def close(self) -> None:
        """Close every session of the case and give the relay time to notice; count on nothing any more."""
        self.hang_up()
        self.give_back()

    def close_session(self, session: Session) -> None:
        """Close one session before the case ends."""
        session.close()

    def soon(self, attempt: Callable[[], _Made]) -> _Made:
        """Return what `attempt` does once it raises nothing, as long as a relay has to give back room; then let it.

        Where the relay has no room and closes the connection over that, only the whole case can be tried again: NoRoom.
        """
        said: list[Broken | Inconclusive] = []

        def attempted() -> _Made | NoRoom:
            try:
                return attempt()
            except (Broken, Inconclusive) as error:
                said.append(error)
                if isinstance(error, Broken) and isinstance(said[0], NoRoom):
                    return said[0]
                raise

        try:
            # Where no auth works at all, no room will come of waiting.
            made = retry(attempted, (Broken, Inconclusive), 0.0 if self.facts.auth else self.tempo.soon)
        except (Broken, Inconclusive):
            self.tempo.room("soon", there=False)
            if isinstance(said[0], Inconclusive):
                raise said[0] from None
            raise
        if isinstance(made, NoRoom):
            raise made
        self.tempo.room("soon", there=True)
        return made

    # ------------------------------------------------------------------ whether it lives

    @contextlib.contextmanager
    def provoked(self, name: str) -> Iterator[tuple[Condition, Endpoint | None]]:
        """Yield a condition while it holds, and where (see `provoke`). It may take the relay away."""
        condition = self.profile.conditions.get(name)
        self.restless = self.restless or (condition is not None and condition.begin is not None)
        with provoked(self.profile, name) as found:
            yield found

    def reach(self, *, tls: bool) -> None:
        """Make one connection and close it. Raises Unreachable, or HandshakeFailure where `tls` is asked for."""
        if tls:
            self.connect(transport="tcp").close()
            return
        self.take_connection()
        tcp_connect(self.endpoint, self.source, self.profile.target.timeout).close()

    def take_connection(self) -> None:
        """Wait for a connection's turn. Raises NotExercised where the profile's bounds leave no room for it."""
        if not self.has_room():
            raise NotExercised(f"target.connections_at_once leaves no room for {len(self.open_sessions) + 1}")
        self.pace.take()

    @property
    def said_anything(self) -> bool:
        """Whether anything was sent in this case."""
        return any(isinstance(record, Message) for record in self.transcript.records)

    # ------------------------------------------------------------------ mechanics

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return context_for(self.profile.tls)

    def _websocket(self, wire: Wire, endpoint: Endpoint) -> WebSocketFramer:
        framer = StrictWebSocket.client(str(endpoint), self.profile.target.websocket_path, max_message=LARGEST)
        wire.send(framer.data_to_send())
        deadline = time.monotonic() + self.profile.target.timeout
        while not framer.opened and framer.failure is None and not wire.ended and time.monotonic() < deadline:
            framer.feed(wire.receive(deadline - time.monotonic()))
        if not framer.opened:
            mute = framer.failure is None and not wire.ended
            self.mute = self.mute or mute
            wire.close()
            raise WebSocketRefused(str(framer.failure or (NO_ANSWER if mute else CLOSED)), framer.status)
        return framer

    def _attempts(self) -> Iterator[bool]:
        """Yield whether this is the last attempt: a connection closed a moment ago may still be counted."""
        deadline = time.monotonic() + self.tempo.most
        while time.monotonic() < deadline:
            yield False
            time.sleep(0.1)
        yield True

    def _full(self, exchange: Exchange, tenant: str, last: bool) -> bool:
        """Whether a limit was hit that should have room. At the last attempt it is judged."""
        code = judge.error_code(exchange)
        found = _LIMITS.get((code, exchange.request.type if exchange.request else ""))
        if found is None:
            for limit, kind in _LIMITS:
                if exchange.request is not None and kind == exchange.request.type and judge.served(exchange):
                    self.tempo.room(f"{limit} {tenant}", there=True)
            return False
        if not last and not self.tempo.is_stuck(f"{code} {tenant}"):
            return True
        self.tempo.room(f"{code} {tenant}", there=False)
        requirement, key = found
        if not self._declared(key, tenant):
            raise Inconclusive(f"the relay answers {code}: it is full. Where the relay has such a limit, declare {key}")
        seen = f"{code} while the suite holds fewer, {self.tempo.most:.0f} s after the last connection closed"
        self.breach(Breach(requirement, "room up to the limit that the profile declares", seen), exchange)
        raise Inconclusive(f"the relay answers {code} while the suite holds fewer than {key} (see {requirement})")

    def _declared(self, key: str, tenant_id: str) -> bool:
        table, _, name = key.partition(".")
        holder = self.profile.tenant(tenant_id) if table == "tenants" else self.profile.relay
        return getattr(holder, name, None) is not None


def _is_silence(error: Exception) -> bool:
    """Whether a connection failed since nothing came on it."""
    if isinstance(error, HandshakeFailure):
        return error.timed_out
    return isinstance(error, WebSocketRefused) and error.reason == NO_ANSWER
