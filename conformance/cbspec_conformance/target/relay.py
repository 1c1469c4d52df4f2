"""The relay under test as a case sees it: sessions in the state that the case needs, and valid requests.

Every step that brings a session into that state is a control. If a control fails, the case is inconclusive: a relay
that refuses everything must not pass a single case about refusals. A limit that is still hit after connections were
closed is also a breach of that limit's own requirement.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Condition, Endpoint, Profile, Tenant
from cbspec.tokens.forgery import MISSING
from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NeverWorks, NoRoom, NotExercised, RateLimited
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import HELLO, ProbeSession, Surroundings
from cbspec_conformance.probe.tcp import Unreachable, source_of, tcp_connect
from cbspec_conformance.probe.tempo import Latency, Tempo, retry
from cbspec_conformance.probe.waits import YieldingClock
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.capture import Captures
from cbspec_conformance.record.conclusions import Breach, Expectation, ExpectationKind
from cbspec_conformance.record.cost import Cost, CountedClock, Timekeeper
from cbspec_conformance.record.excerpt import ALIVE
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.naming import stem_of, tunnel_name
from cbspec_conformance.record.transcript import Transcript, Waited, is_long
from cbspec_conformance.target.connector import NO_ANSWER, Connector, LifeSigns, WebSocketRefused
from cbspec_conformance.target.facts import Facts, Preconditions
from cbspec_conformance.target.findings_log import FindingsLog
from cbspec_conformance.target.ledger import PAUSES, Ledger
from cbspec_conformance.target.provoke import provoked
from cbspec_conformance.target.room import Room
from cbspec_conformance.target.tokens import TokenSource, secrets_of

LONGEST_PAUSE = 12.0
"""Seconds in which a paused relay must answer again. A garbage collection or a moved machine takes up to ten."""

_numbers = itertools.count(1)
_NUMBERS_OF_A_PROCESS = 10_000_000  # more than a run needs


def number_from(process: int) -> None:
    """Give the tunnels of one of several processes other numbers than those of the others."""
    global _numbers
    _numbers = itertools.count(process * _NUMBERS_OF_A_PROCESS + 1)


_Made = TypeVar("_Made")

_LIMITS = {
    ("tenant_limit_exceeded", "auth"): ("", "tenants.connection_limit"),
    ("tenant_limit_exceeded", "tunnel_info"): ("", "tenants.tunnel_limit"),
    ("connection_limit_reached", "hello"): ("CB-CON-005", "relay.connection_limit"),
    ("connection_limit_reached", "auth"): ("CB-CON-005", "relay.connection_limit"),
    ("buffer_pool_exhausted", "tunnel_info"): ("CB-BUF-003", "relay.buffer_pool"),
}
"""The requirement that a limit breaks if it is still hit after connections closed, and the key that declares it.

For the limits of tenants, `target.capacity` finds the requirement.
"""


class SharedParts:
    """The objects that the cases of one process share.

    `rates_used` are the times of the clock when a case last used the rate of an account, `rates_exceeded` the accounts
    whose rate it has exceeded, and
    `rated_kind` is a type of requests that count. `limited_always` are descriptions of invalid requests that the relay
    always answers with its rate limit; `silent_alone` are kinds of answers that did not come while no other case ran.
    `tickets` are TLS sessions, by tenant and subject. `uninformed` says that other
    processes may know more. Arguments: `latency` is that of the preflight; `processes` is the number of processes that
    share the relay, `folder` that of their common files; `forked` ones are told what the others have learned;
    `unanswered` are kinds of answers that never came in the preflight; `captures` says whether cases keep encrypted
    bytes.
    """

    def __init__(
        self,
        profile: Profile,
        latency: Latency | None = None,
        folder: Path | None = None,
        processes: int = 1,
        clock: Timekeeper | None = None,
        *,
        forked: bool = False,
        unanswered: Collection[str] = (),
        captures: bool = False,
    ) -> None:
        self.profile = profile
        self.processes = processes
        self.ledger = Ledger(folder)
        clock = clock or YieldingClock()
        self.pace = Pacer(profile, processes, clock, forked=forked)
        self.issuer = Issuer(profile.tokens, time.time)
        self.tempo = Tempo.of(profile.target, latency or Latency())
        self.tempo.unanswered |= {*unanswered}
        self.clock = clock
        self.rates_used: dict[str, float] = {}
        self.rates_exceeded: set[str] = set()
        self.rated_kind = "heartbeat"
        self.limited_always: set[str] = set()
        self.silent_alone = {*unanswered}
        self.tickets: dict[str, ssl.SSLSession] = {}
        self.captures = captures
        self.uninformed = processes > 1 and not forked
        self._begun = clock.monotonic()

    def are_silent(self, kinds: set[str]) -> bool:
        """Whether answers of all these kinds are known not to come, whatever else the relay has to do."""
        return self.tempo.mute or kinds <= self.silent_alone

    @property
    def age(self) -> float:
        """Seconds since the process began to judge."""
        return self.clock.monotonic() - self._begun


class _Settled(Exception):
    """Another attempt can't succeed; `error` is the reason."""

    def __init__(self, error: Broken | Inconclusive) -> None:
        super().__init__(error)
        self.error = error


class RelayUnderTest:
    """The relay for the length of one case.

    Parts: `needs` are preconditions, `room` the declared limits, `tokens` makes tokens, `log` collects findings,
    `connector` opens connections, and `signs` says whether the relay may be down. `stem` begins the identifiers of the
    case, such as tunnel ids.
    """

    def __init__(self, shared: SharedParts, facts: Facts, case: str, requirement: str = "") -> None:
        profile, recipes = shared.profile, Recipes()
        self.profile = profile
        self.shared = shared
        self.facts = facts
        self.case = case
        self.stem = stem_of(requirement)
        cost = Cost()
        self.clock = CountedClock(shared.clock, cost)
        self.pace = shared.pace
        self.tempo = shared.tempo
        self.transcript = Transcript(self.clock, cost=cost, captures=Captures() if shared.captures else None)
        self.signs = LifeSigns()
        self.needs = Preconditions(profile, facts)
        self.room = Room(profile, shared.pace)
        self.room.within(facts.bound(profile))
        self.connector = Connector(profile, self.transcript, self.signs)
        self.tokens = TokenSource(profile, shared.issuer, recipes, lambda: self.connector.certificate, self.stem)
        self.log = FindingsLog(self.transcript, case, str(profile.target.address or ""), recipes, requirement)
        self.last_try = False
        self._secrets = secrets_of(profile)

    def learn(self, facts: Facts) -> None:
        """Use the facts that the preflight has found so far."""
        self.facts = facts
        self.needs = Preconditions(self.profile, facts)
        self.room.within(facts.bound(self.profile))

    @property
    def endpoint(self) -> Endpoint:
        """The relay's address."""
        return _given(self.profile.target.address, "target.address")

    @cached_property
    def tenant(self) -> Tenant:
        """The active tenant that most cases use."""
        return _given(self.profile.main_tenant, "tenants (an active one)")

    @cached_property
    def second_tenant(self) -> Tenant:
        """Another active tenant."""
        return _given(self.profile.second_tenant, "tenants (a second active one)")

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
        judged: bool = True,
        claimed: str = "",
    ) -> ProbeSession:
        """Return a session on which nothing was sent: TLS is up, and the WebSocket open if that is the transport.

        `at` is another address than the relay's, `source` a local address to connect from, `resume` the TLS session of
        an earlier connection; a `narrow` connection has a very small receive window; `claimed` is an address that a
        PROXY line or the headers of a proxy name as the client's. Exchanges on a connection that is
        not `judged` are not checked against the invariants. Raises Unreachable, HandshakeFailure or Inconclusive (no
        WebSocket).
        """
        endpoint = at or self.endpoint
        with self.room.connecting():
            channel = self.connector.open(
                endpoint,
                transport or self.facts.transport,
                usual=at is None and source is None and not claimed,
                source=source,
                context=context,
                resume=resume,
                narrow=narrow,
                claimed=claimed,
            )
            observe, alive = (self.log.observe, self.alive) if judged else (lambda exchange: exchange, lambda: False)
            surroundings = Surroundings(
                self.tempo, self.pace, observe, alive, self._secrets, self.limited_always, lambda: self.room.patient
            )
            session = ProbeSession(channel, surroundings, self.facts.fence)
            self.room.add(session)
        return session

    def greeted(self, *, at: Endpoint | None = None, source: str | None = None, transport: str = "") -> ProbeSession:
        """Return a session after hello. A control."""
        if self.facts.hello:
            raise NeverWorks(f"hello doesn't work on this relay: {self.facts.hello}")
        if at is None:
            self.room.for_connection()

        def attempt() -> tuple[ProbeSession, Exchange]:
            session = self.connect(at=at, source=source, transport=transport)
            return session, session.hello()

        return self._served("hello", "", attempt)

    def authenticated(
        self,
        tenant: Tenant | None = None,
        *,
        subject: str | None = None,
        at: Endpoint | None = None,
        source: str | None = None,
        transport: str = "",
        token: str = "",
    ) -> ProbeSession:
        """Return a session after hello and auth for `tenant` (None: the main one), with `token` if given. A control."""
        tenant = tenant or self.tenant
        token = token or self.tokens.valid(tenant, subject)
        if self.facts.auth:
            raise NeverWorks(f"auth doesn't work on this relay: {self.facts.auth}")
        self.room.use(tenant, connections=1)
        if at is None and (
            session := self.entered_at_once(tenant, token, subject=subject, source=source, transport=transport)
        ):
            return session

        def attempt() -> tuple[ProbeSession, Exchange]:
            session = self.greeted(at=at, source=source, transport=transport)
            return session, self.authenticate(session, tenant, token=token)

        return self._served(f"auth of {tenant.id}", tenant.id, attempt)

    def entered_at_once(
        self,
        tenant: Tenant,
        token: str = "",
        *,
        subject: str | None = None,
        source: str | None = None,
        transport: str = "",
    ) -> ProbeSession | None:
        """Return a session after hello and auth in one flight, or None if this relay or its limits don't allow that."""
        if not self.facts.pipelines:
            return None
        usual = source is None and not transport
        ticket = f"{tenant.id} {(subject or '').removeprefix(self.stem)}" if usual and self.facts.resumes else ""
        token = token or self.tokens.valid(tenant, subject)
        return self.entered(tenant, token, source=source, transport=transport, ticket=ticket)

    def entered(
        self, tenant: Tenant, token: str, *, source: str | None = None, transport: str = "", ticket: str = ""
    ) -> ProbeSession | None:
        """Return a session after hello and auth in one flight, or None if that doesn't work.

        `ticket` names the TLS session of an earlier connection that is resumed ("": none). A new one costs more time
        than it saves, so it is made only if the relay didn't take the last one.
        """
        tickets = self.shared.tickets
        self.room.for_connection()
        try:
            session = self.connect(source=source, transport=transport, resume=tickets.get(ticket))
            if session.enter({"type": "auth", "token": token}, tenant.id) is not None:
                tls = session.wire.tls.ssl_object
                if ticket and not tls.session_reused and (made := tls.session) is not None and made.has_ticket:
                    tickets[ticket] = made
                return session
        except (Unreachable, HandshakeFailure, WebSocketRefused):
            return None
        session.close()
        return None

    def _served(self, what: str, tenant: str, attempt: Callable[[], tuple[ProbeSession, Exchange]]) -> ProbeSession:
        """Return the session of the first attempt that no limit refuses. A control."""
        with self.control(what):
            for last in self._attempts():
                session, exchange = attempt()
                if not self.is_full(exchange, tenant, last=last):
                    judge.accepted(exchange)
                    break
                session.close()
        return session

    def authenticate(self, session: ProbeSession, tenant: Tenant, *, token: str = "") -> Exchange:
        """Send a valid auth of `tenant` on `session` and return the exchange; this is no control.

        Raises Inconclusive if auth is known not to work: each attempt could cost a time-out.
        """
        if self.facts.auth:
            raise NeverWorks(f"auth doesn't work on this relay: {self.facts.auth}")
        session.assume(tenant=tenant.id)
        exchange = session.ask({"type": "auth", "token": token or self.tokens.valid(tenant)})
        session.assume(authenticated=judge.served(exchange))
        return exchange

    def open_tunnel(self, session: ProbeSession) -> Exchange:
        """Open a valid tunnel on an authenticated session. A control."""
        if self.facts.tunnel and session.tenant == self.tenant.id:
            raise NeverWorks(f"tunnels don't work on this relay: {self.facts.tunnel}")
        self.room.for_tunnel(session.tenant)
        with self.control("a valid tunnel_info"):
            for last in self._attempts():
                exchange = session.ask(self.tunnel_info(session.tenant), fence=False)
                if not self.is_full(exchange, session.tenant, last=last):
                    judge.accepted(exchange)
                    break
                if session.ended:
                    code = judge.error_code(exchange)
                    raise NoRoom(f"the relay answers {code} to a valid tunnel_info and closes the connection")
        return exchange

    def beat(self, session: ProbeSession) -> None:
        """Send a heartbeat on an authenticated session. A control."""
        self.needs.served("heartbeat")
        with self.control("a heartbeat"):
            judge.accepted(session.heartbeat())

    @contextlib.contextmanager
    def control(self, what: str) -> Iterator[None]:
        """Turn a failure into Inconclusive: without `what`, the case's own judgement is impossible."""
        try:
            yield
        except Broken as broken:
            raise Inconclusive(f"the control failed: {what}: expected {broken.expected}; seen: {broken.seen}") from None
        except (Unreachable, HandshakeFailure) as error:
            raise Inconclusive(f"the control failed: {what}: {error}") from None

    def close(self) -> None:
        """Close every session of the case."""
        self.room.close_sessions()

    # ------------------------------------------------------------------ requests

    def tunnel_info(self, tenant: str = "", **changes: object) -> dict[str, Any]:
        """Return a valid tunnel_info with a tunnel_id that is new in this run; `changes` replace members."""
        remote = self.profile.remote.reachable
        message: dict[str, Any] = {
            "type": "tunnel_info",
            "tunnel_id": tunnel_name(self.stem, next(_numbers)),
            "tenant_id": tenant or self.tenant.id,
            "local_port": 3389,
            "remote_host": remote.host,
            "remote_port": remote.port,
        }
        return {**message, **changes}

    def request(self, kind: str) -> dict[str, Any]:
        """Return a valid request of a type, for the main tenant."""
        requests: dict[str, Callable[[], dict[str, Any]]] = {
            "hello": lambda: dict(HELLO),
            "auth": lambda: {"type": "auth", "token": self.tokens.valid(self.tenant)},
            "tunnel_info": self.tunnel_info,
            "heartbeat": lambda: {"type": "heartbeat"},
        }
        return requests[kind]()

    def show(self, token: object, why: str, on: ProbeSession | None = None) -> Exchange:
        """Send a bad token on a session after hello; a tunnel that is opened afterwards is a breach.

        Without a session `on` which to send it, a new one is used and closed.
        """
        session = on or self.greeted()
        request = {"type": "auth"} if token is MISSING else {"type": "auth", "token": token}
        exchange = session.ask(request, invalid=why, followed=True)
        if any(answer.type == "error" for answer in exchange.answers) and not session.ended:
            after = session.ask(self.tunnel_info())
            if judge.served(after):
                seen = f"{judge.describe(after.answers[0])}, after the token was refused"
                breach = Breach("CB-AUT-016", "no tunnel after a refused auth", seen)
                self.log.breach(breach, after, expectation=Expectation(ExpectationKind.NOT_ACCEPTED))
                session.close()
        if on is None:
            session.close()
        return exchange

    # ------------------------------------------------------------------ room and life

    @property
    def waited_for(self) -> set[str]:
        """What the case awaited in vain."""
        return {record.what for record in self.transcript.records if isinstance(record, Waited)}

    @property
    def waited_long_for(self) -> set[str]:
        """What the case awaited in vain for so long that the relay may have paused."""
        return {record.what for record in self.transcript.records if is_long(record)}

    def soon(self, attempt: Callable[[], _Made], *, late: bool = True) -> _Made:
        """Repeat `attempt` until it succeeds, for as long as a relay may need to give back room; then let it raise.

        With `late`, a last attempt follows a long pause: room that comes back late, which breaks a SHOULD at most, must
        fail no MUST.
        If the relay closes the connection for lack of room, only the whole case can be tried again: NoRoom.
        """
        said: list[Broken | Inconclusive] = []

        def attempted() -> _Made:
            try:
                return attempt()
            except (Broken, Inconclusive) as error:
                said.append(error)
                if isinstance(error, Broken) and isinstance(said[0], NoRoom):
                    raise _Settled(said[0]) from None
                # What never comes is not a matter of room.
                if self.waited_for & self.shared.silent_alone or (self.shared.tempo.mute and self.waited_for):
                    raise _Settled(error) from None
                raise

        try:
            # If no auth works at all, waiting gives no room.
            seconds = 0.0 if self.facts.auth or (late and self.tempo.late) else self.tempo.soon
            try:
                made = retry(attempted, (Broken, Inconclusive), seconds, self.clock)
            except (Broken, Inconclusive):
                if not late or self.facts.auth or self.tempo.hopeless or self.shared.ledger.lost:
                    raise
                self.clock.sleep(PAUSES[-1])  # nothing is tried meanwhile: an attempt may take room itself
                self.tempo.hopeless = not self.tempo.late
                made = attempted()
                self.tempo.late, self.tempo.hopeless = True, False
        except (Broken, Inconclusive):
            self.tempo.room("soon", there=False)
            if isinstance(said[0], Inconclusive):
                raise said[0] from None
            raise
        except _Settled as settled:
            raise settled.error from None
        self.tempo.room("soon", there=True)
        return made

    def alive(self) -> bool:
        """Whether a new connection is answered now: the control for an unresponsive one."""
        if not self.room.may_connect:
            for unresponsive in [session for session in self.room.open_sessions if session.unresponsive]:
                unresponsive.close()
        began = self.clock.monotonic()
        try:
            session = self.connect()
            session.send_unanswered(session.note(HELLO, meant=ALIVE)[1])
            answered = bool(session.answers(1))
            silent = not answered and session.ended is None
            self.signs.slow |= self.clock.monotonic() - began > self.tempo.slow_hello
        except HandshakeFailure as error:
            answered, silent = False, error.timed_out
        except (Unreachable, Inconclusive, NotExercised) as error:
            answered, silent = False, isinstance(error, WebSocketRefused) and error.reason == NO_ANSWER
        self.signs.silent |= silent
        return answered

    def limited_always(self, exchange: Exchange, *, authenticated: bool) -> bool:
        """Whether the relay answers an invalid request with its rate limit whenever it answers valid ones.

        Tried at the end of a case: before that, it may be tried again after a pause. The number of valid requests
        between two invalid ones varies, so that no rate refuses just the invalid ones by chance.
        """
        request = exchange.request
        if request is None or not request.meant or request.type == "auth":  # there may be a limit of failed auths
            return False
        if request.meant in self.shared.limited_always or not self.last_try:
            return request.meant in self.shared.limited_always
        tenant = self.profile.tenant(exchange.tenant)
        with contextlib.suppress(Broken, Inconclusive, NotExercised, RateLimited, Unreachable, HandshakeFailure):
            for count in (1, 2, 3):
                for _ in range(count):
                    with contextlib.closing(self.authenticated(tenant)) as valid:
                        self.open_tunnel(valid)
                with contextlib.closing(self.authenticated(tenant) if authenticated else self.greeted()) as session:
                    session.expect_rate_limit()
                    if judge.error_code(session.repeat(request)) != "rate_limit_exceeded":
                        return False
            self.shared.limited_always.add(request.meant)
        return request.meant in self.shared.limited_always

    def paused(self) -> bool:
        """Whether the relay may have paused as a whole: a new connection was silent or slow, or an answer came late."""
        signs, waited = self.signs, {record.connection for record in self.transcript.records if is_long(record)}
        if signs.silent or signs.slow or (isinstance(signs.trouble, HandshakeFailure) and signs.trouble.timed_out):
            return True
        return any(each.hears() for each in self.room.open_sessions if each.wire.number in waited)

    def resumes(self) -> bool:
        """Close all sessions, and return whether a new one is answered before the longest pause is over."""
        deadline = self.clock.monotonic() + LONGEST_PAUSE
        self.close()
        while not self.signs.ended:
            self.signs.trouble, self.signs.silent, self.signs.slow = None, False, False
            answered = self.alive()
            self.room.close_sessions()
            if answered or not self.signs.silent:
                return answered
            self.signs.ended = self.clock.monotonic() > deadline
        return False

    @contextlib.contextmanager
    def provoked(self, name: str) -> Iterator[tuple[Condition, Endpoint | None]]:
        """Yield a condition while it holds, and the address at which it does (see `provoke`)."""
        condition = self.profile.conditions.get(name)
        if condition is not None and condition.begin is not None:
            self.signs.restless = True
        with provoked(self.profile, name) as found:
            yield found

    def dial(self, timeout: float) -> socket.socket:
        """Return a TCP connection to the relay without a probe, for the case to use. Raises Unreachable."""
        self.room.take_connection()
        sock = tcp_connect(self.endpoint, self.connector.source, timeout)
        self.transcript.contact(source_of(sock))
        return sock

    def reach(self, *, tls: bool) -> None:
        """Make one connection and close it. Raises Unreachable, or HandshakeFailure with `tls`."""
        with self.room.connecting():
            if tls:  # in a transcript of its own: the connection is no part of the case
                elsewhere = Connector(self.profile, Transcript(self.clock), self.signs)
                elsewhere.open(self.endpoint, "tcp", usual=True).close(self.tempo.closing)
                return
            tcp_connect(self.endpoint, self.connector.source, self.profile.target.timeout).close()

    def is_full(self, exchange: Exchange, tenant: str, *, last: bool) -> bool:
        """Whether a limit was hit that should have room. On the last attempt, that is a breach and raises."""
        code = judge.error_code(exchange)
        found = _LIMITS.get((code, exchange.request.type if exchange.request else ""))
        if found is None:
            for limit, kind in _LIMITS:
                if exchange.request is not None and kind == exchange.request.type and judge.served(exchange):
                    self.tempo.room(f"{limit} {tenant}", there=True)
            return False
        if not last and f"{code} {tenant}" not in self.tempo.stuck:
            return True
        self.tempo.room(f"{code} {tenant}", there=False)
        requirement, key = found
        table, _, name = key.partition(".")
        holder = self.profile.tenant(tenant) if table == "tenants" else self.profile.relay
        if getattr(holder, name, None) is None:
            raise Inconclusive(f"the relay answers {code}: it is full. If the relay has such a limit, declare {key}")
        if not requirement:
            raise NoRoom(f"the relay answers {code} while the suite holds fewer than {key}")
        seen = f"{code} while the suite holds fewer, also after {self.tempo.most:.0f} s"
        self.log.breach(Breach(requirement, "room up to the limit that the profile declares", seen), exchange)
        raise Inconclusive(f"the relay answers {code} while the suite holds fewer than {key} (see {requirement})")

    def _attempts(self) -> Iterator[bool]:
        """Yield whether this is the last attempt: the relay may still count a connection closed a moment ago."""
        deadline = self.clock.monotonic() + self.tempo.soon
        while self.clock.monotonic() < deadline:
            yield False
            self.clock.sleep(0.1)
        yield True


def _given(value: _Made | None, key: str) -> _Made:
    if value is None:
        raise NotExercised(f"give {key}")
    return value
