"""Source: Error Codes / the limits: messages in any order on many connections of many tenants, against a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from cbspec.catalogue.requirements import Level, find
from cbspec.profile.profile import Endpoint, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.oracles.model import NOTHING, Ask, Model, ModelConnection, ModelLimits, ModelStep
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.record.conclusions import Breach, Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.relay.error_codes.refusals import (
    active_tenants,
    count_tunnels,
    fillable,
    limit_holds,
    limited,
    seen,
    served_connections,
    served_tunnels,
)
from cbspec_conformance.runner.marks import limits, provokes, requirement
from cbspec_conformance.target.capacity import LimitKey
from cbspec_conformance.target.ledger import PAUSES
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.room import assigned

_MOST_TUNNELS = 3
"""Most tunnels on one connection of a tenant without a limit: a relay may have limits that the profile lacks."""

_NO_ROOM = ("CB-LIM-001", "CB-LIM-003", "CB-LIM-011", "CB-CON-001", "CB-BUF-001")
"""The requirements that a refusal below a limit breaks."""

_OVER = ("CB-LIM-002", "CB-LIM-005", "CB-LIM-012", "CB-CON-002", "CB-CON-003", "CB-BUF-002")
"""The requirements that service above a limit breaks, while the connections that use up the limit are open."""

_ACTIONS = (
    *("join", "join", "join", "connect", "close", "close", "reset"),
    *(Ask.HELLO, Ask.AUTH, Ask.BAD_AUTH, Ask.HEARTBEAT, Ask.UNKNOWN),
    *(Ask.TUNNEL, Ask.TUNNEL, Ask.TUNNEL, Ask.TUNNEL, Ask.BAD_TUNNEL, Ask.BAD_TUNNEL, Ask.FOREIGN_TUNNEL),
)


@dataclass(frozen=True, slots=True)
class _Op:
    """One step of a run: an action, and the numbers of its connection and tenant, modulo how many there are."""

    action: Ask | str
    connection: int
    tenant: int
    websocket: bool


_OPS = st.builds(_Op, st.sampled_from(_ACTIONS), st.integers(0, 7), st.integers(0, 3), st.booleans())


@dataclass(frozen=True, slots=True)
class _Place:
    """The conditions of a run: an address (None: the target's), tenants, the relay's limits, and most connections.

    `settle` checks that no limit is in use.
    """

    at: Endpoint | None
    tenants: list[Tenant]
    settle: Callable[[], None]
    connections: int | None
    pool: int | None
    most: int = 6


@limits("tunnel_limit", "connection_limit")
@requirement("CB-LIM-005")
def test_tenants_limits_in_any_order(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Send messages in any order on up to six connections of four tenants, and compare the answers with a model."""
    keys: tuple[LimitKey, ...] = ("tunnel_limit", "connection_limit")
    limited_ones = [tenant for key in keys for tenant in assigned(relay.profile, key, relay.case)]
    if not limited_ones:
        raise NotExercised("give tenants.tunnel_limit or tenants.connection_limit (for a tenant of its own)")
    tenants = list({tenant.id: tenant for tenant in [*limited_ones, *active_tenants(relay)]}.values())
    for tenant in limited_ones:
        fillable(max(tenant.tunnel_limit or 0, tenant.connection_limit or 0), f"a limit of {tenant.id}")
    for tenant in tenants:
        relay.room.use(tenant)
        if tenant.tunnel_limit is not None:
            limit_holds(relay, tenant, tenant.tunnel_limit)
    relay.room.close_sessions()

    def settle() -> None:
        for tenant in tenants:
            relay.room.use(tenant)
            if tenant.tunnel_limit is not None:
                served_tunnels(relay, tenant, tenant.tunnel_limit)
            if tenant.connection_limit is not None:
                served_connections(relay, tenant, tenant.connection_limit)

    rules = relay.profile.relay
    _explore(relay, explorer, _Place(None, tenants, settle, rules.connection_limit, rules.buffer_pool))


@provokes("connection_limit")
@requirement("CB-CON-002")
def test_relays_connections_in_any_order(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Send messages in any order on up to two connections more than the relay's limit, and compare with a model."""
    relay.needs.served("auth")
    with limited(relay, "connection_limit", relay.profile.relay.connection_limit) as (at, limit):

        def settle() -> None:
            with contextlib.ExitStack() as stack:
                for _ in range(limit):
                    session = stack.enter_context(contextlib.closing(relay.connect(at=at)))
                    judge.accepted(session.hello(), "connection_limit_reached")

        pool = relay.profile.relay.buffer_pool if at is None else None
        _explore(relay, explorer, _Place(at, active_tenants(relay)[:1], settle, limit, pool, limit + 2))


@provokes("buffer_pool")
@requirement("CB-BUF-002")
def test_buffers_in_any_order(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Send messages in any order on connections that share a buffer pool, and compare the answers with a model."""
    with limited(relay, "buffer_pool", relay.profile.relay.buffer_pool) as (at, size):

        def settle() -> None:
            if count_tunnels(relay, relay.authenticated(at=at), size) < size:
                raise Inconclusive(f"the pool of {size} buffers has no room for as many tunnels (see CB-BUF-003)")

        _explore(relay, explorer, _Place(at, active_tenants(relay), settle, None, size))


def _explore(relay: RelayUnderTest, explorer: Explorer, place: _Place) -> None:
    late = False

    def run(ops: list[_Op]) -> None:
        relay.room.close_sessions()
        steps = _Run(relay, place, late=late)
        for op in ops:
            steps.do(op)
        for finding in relay.log.findings:
            if finding.outcome is Outcome.FAILED:  # so that Hypothesis shrinks violations of invariants, too
                relay.log.judge_invariant(finding.requirement)

    def check(ops: list[_Op]) -> None:
        nonlocal late
        relay.room.close_sessions()
        with relay.control("every limit unused"):
            relay.soon(place.settle)
        try:
            run(ops)
        except Broken as broken:
            if broken.requirement == "CB-LIM-005":
                _counts_on_one_connection(relay, place.tenants, broken)
            if broken.requirement not in _NO_ROOM:
                raise
            # The relay may still count connections that closed before the run; some seconds later it must not.
            relay.room.close_sessions()
            relay.clock.sleep(relay.tempo.soon if relay.tempo.hopeless else PAUSES[-1])
            relay.tempo.hopeless = not relay.tempo.late
            run(ops)
            relay.tempo.hopeless = False
            late = True

    runs = st.lists(_OPS, min_size=explorer.steps // 2, max_size=explorer.steps)
    explorer.explore(runs, check, share=4)
    relay.room.close_sessions()


def _counts_on_one_connection(relay: RelayUnderTest, tenants: list[Tenant], broken: Broken) -> None:
    """Blame CB-LIM-002 if the limit doesn't hold on one connection either."""
    relay.room.close_sessions()
    for tenant in tenants:
        if tenant.tunnel_limit is not None:
            try:
                limit_holds(relay, tenant, tenant.tunnel_limit)
            except Inconclusive:
                broken.requirement = "CB-LIM-002"


class _Run:
    """One run: the connections and their model. `late`: the relay releases limits late."""

    def __init__(self, relay: RelayUnderTest, place: _Place, *, late: bool) -> None:
        self._relay = relay
        self._place = place
        self._limits = ModelLimits(
            {tenant.id: tenant.tunnel_limit for tenant in place.tenants},
            {tenant.id: tenant.connection_limit for tenant in place.tenants},
            place.connections,
            place.pool,
            relay.needs.offers_tenancy,
        )
        self._model = Model(self._limits, late=late)
        self._sessions: dict[int, ProbeSession] = {}

    def do(self, op: _Op) -> None:
        """Take a step, if it is possible now."""
        tenant = self._place.tenants[op.tenant % len(self._place.tenants)]
        if op.action in ("connect", "join"):
            self._connect(op, tenant)
        elif self._model.open:
            connection = self._model.open[op.connection % len(self._model.open)]
            session = self._sessions[id(connection)]
            if isinstance(op.action, Ask):
                self._ask(connection, op.action, tenant)
            else:
                session.wire.reset() if op.action == "reset" else session.close()
                self._model.ended(connection)

    def _connect(self, op: _Op, tenant: Tenant) -> None:
        if len(self._model.open) >= self._place.most:
            return
        both = self._relay.facts.websocket and self._relay.facts.transport == "tcp"
        try:
            session = self._relay.connect(at=self._place.at, transport="websocket" if op.websocket and both else "")
        except (Unreachable, HandshakeFailure, Inconclusive) as error:
            if self._limits.relay is None or len(self._model.connections) < self._limits.relay:
                raise Inconclusive(f"no new connection: {error}") from None
            return
        connection = self._model.connect()
        self._sessions[id(connection)] = session
        for ask in (Ask.HELLO, Ask.AUTH, Ask.TUNNEL) if op.action == "join" else ():
            if connection.step is not ModelStep.ENDED and not connection.refused:
                self._ask(connection, ask, tenant)

    def _ask(self, connection: ModelConnection, ask: Ask, tenant: Tenant) -> None:
        endless = self._limits.tunnels.get(connection.tenant) is None
        if ask is Ask.TUNNEL and connection.tunnels >= _MOST_TUNNELS and endless:
            return
        session = self._sessions[id(connection)]
        tenant_id = connection.tenant or tenant.id
        allowed = self._model.allowed(connection, ask, tenant_id)
        exchange = self._send(session, ask, tenant_id)
        answer, is_error = _answer(exchange)
        if answer == NOTHING and exchange.ended and connection.refused:
            self._model.ended(connection)  # a relay may close after an error, and its close may come late
            return
        if exchange.answer is not None:
            judge.legible(exchange.answer)  # a malformed error says nothing about limits
        if identifier := allowed.breach(answer, is_error=is_error):
            wanted = " or ".join(sorted(allowed.answers - {NOTHING})) or "a refusal"
            breach = Breach(identifier, f"{wanted} to {ask.value}", seen(exchange))
            self._blame(connection, breach, exchange, self._undeclared(answer, tenant_id))
        self._model.happened(connection, ask, answer, is_error=is_error, tenant=tenant_id)
        session.assume(authenticated=connection.step is ModelStep.AUTHENTICATED)
        if session.ended:
            self._model.ended(connection)

    def _blame(self, connection: ModelConnection, breach: Breach, exchange: Exchange, undeclared: str) -> None:
        """Raise Broken, or Inconclusive if the cause may be a limit that the profile doesn't declare.

        A breach of a SHOULD is only logged, since the requirement of the case is a MUST.
        """
        if find(breach.requirement).level is Level.MUST:
            if undeclared:
                raise Inconclusive(undeclared)
            self._still_open(connection, breach.requirement)
            raise Broken(breach.expected, breach.seen, exchange, requirement=breach.requirement)
        if not undeclared:
            self._relay.log.breach(breach, exchange)
        session = self._sessions[id(connection)]
        if session.unresponsive:
            session.close()

    def _still_open(self, connection: ModelConnection, broken: str) -> None:
        """Raise Inconclusive if connections that use up the broken limit have ended without the model's knowledge."""
        if broken not in _OVER:
            return
        for other in self._model.open:
            session = self._sessions[id(other)]
            if other is not connection and other.tunnels and not (session.heartbeat().answers and not session.ended):
                raise Inconclusive("a connection that used up the limit has ended by itself")

    def _send(self, session: ProbeSession, ask: Ask, tenant: str) -> Exchange:
        relay = self._relay
        named = next((each for each in self._place.tenants if each.id == tenant), relay.tenant)
        subject = relay.tokens.subject(str(session.wire.number))
        if ask is Ask.AUTH:
            session.assume(tenant=tenant)
        asks: dict[Ask, Callable[[], Exchange]] = {
            Ask.HELLO: session.hello,
            Ask.AUTH: lambda: session.ask({"type": "auth", "token": relay.tokens.valid(named, subject)}),
            Ask.BAD_AUTH: lambda: session.ask({"type": "auth", "token": relay.tokens.spoiled(named)}),
            Ask.TUNNEL: lambda: session.ask(relay.tunnel_info(tenant)),
            Ask.BAD_TUNNEL: lambda: session.ask(relay.tunnel_info(tenant, remote_port=0), invalid="remote_port is 0"),
            Ask.FOREIGN_TUNNEL: lambda: session.ask(relay.tunnel_info(f"{tenant}-foreign")),
            Ask.HEARTBEAT: session.heartbeat,
            Ask.UNKNOWN: lambda: session.ask({"type": "cbspec_unknown"}, invalid="of unknown type"),
        }
        return asks[ask]()

    def _undeclared(self, code: str, tenant: str) -> str:
        """Return why a refusal for lack of room can't be judged, if the profile declares no such limit; else ""."""
        limits = self._limits
        declared = {
            "tenant_limit_exceeded": {limits.tunnels.get(tenant), limits.connections.get(tenant)} != {None},
            "connection_limit_reached": limits.relay is not None,
            "buffer_pool_exhausted": limits.pool is not None,
        }
        if code in judge.OUT_OF_ROOM and not declared.get(code, False):
            return f"the relay answers {code}, and the profile declares no such limit for {tenant}"
        return ""


def _answer(exchange: Exchange) -> tuple[str, bool]:
    """Return an exchange's answer in the model's terms, and whether it is an error."""
    answer = exchange.answer
    if answer is None:
        if exchange.silence is Silence.UNRESPONSIVE and not exchange.relay_alive:
            raise Inconclusive(f"{judge.silence(exchange)}, and no new connection was answered either")
        return NOTHING, False
    if answer.decoded.requirement:
        raise Inconclusive(f"the answer can't be read (see {answer.decoded.requirement}): {answer.decoded.fault}")
    if answer.type == "error":
        return judge.error_code(exchange), True
    return (answer.type if judge.is_success(answer) else judge.describe(answer)), False
