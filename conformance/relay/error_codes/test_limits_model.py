"""Source: Error Codes / tenant_limit_exceeded, over several connections and tenants at once, against a model.

The model knows what is held for certain, and what was held by connections that have closed: how soon a relay gives that
back is its own affair. Between the two, either answer is right.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import ClassVar, TypeVar, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from cbspec.profile import Tenant
from conformance import judge
from conformance.errors import Broken, Inconclusive, NotExercised, RateLimited
from conformance.exchange import Exchange
from conformance.explore import Explorer
from conformance.marks import requirement
from conformance.relay.error_codes.limits import fillable, limit_holds, served_connections, served_tunnels
from conformance.session import Session
from conformance.target import Target

_STEPS = 20
_OVER = "tenant_limit_exceeded"


@dataclass(slots=True)
class _Counts:
    """What a tenant holds: for certain, and at the most."""

    limit: int | None
    held: int = 0
    closed: int = 0

    def must_accept(self) -> bool:
        return self.limit is None or self.held + self.closed < self.limit

    def must_refuse(self) -> bool:
        return self.limit is not None and self.held >= self.limit


@dataclass(slots=True)
class _Held:
    """A connection of a tenant's, with how many tunnels it has."""

    tenant: Tenant
    session: Session
    tunnels: int = 0


@dataclass(slots=True)
class _Run:
    """What outlives one example: the relay, its tenants, how the run ended, and when it was long enough."""

    relay: Target
    tenants: list[Tenant]
    broken: Broken | None = None
    interrupted: Exception | None = None
    enough: float = field(default_factory=lambda: time.monotonic() + 5.0)


@requirement("CB-LIM-005")
def test_limits_follow_the_model(relay: Target, explorer: Explorer) -> None:
    """Hypothesis connects, opens tunnels, asks for bad ones and closes, for four tenants; a model tells who may."""
    limited = [*relay.profile.tenants_with("tunnel_limit")[:1], *relay.profile.tenants_with("connection_limit")[:1]]
    if not limited:
        raise NotExercised("give tenants.tunnel_limit or tenants.connection_limit (for a tenant of its own)")
    for tenant in limited:
        fillable(max(tenant.tunnel_limit or 0, tenant.connection_limit or 0), f"a limit of {tenant.id}")
    free = [tenant for tenant in (relay.tenant, relay.profile.second_tenant) if tenant is not None]
    tenants = list({tenant.id: tenant for tenant in [*limited, *free]}.values())
    relay.close_session(relay.authenticated())
    for tenant in tenants:
        relay.use(tenant)
        if tenant.tunnel_limit is not None:
            limit_holds(relay, tenant, tenant.tunnel_limit)
    run = _Run(relay, tenants)
    options = settings(
        max_examples=max(1, explorer.plan.examples // 4),
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(type("Machine", (_Machine,), {"run": run}), settings=options)
    except Exception:
        # Hypothesis tries a failure again before it reports it, and adds words of its own; the first is what counts.
        if run.broken is None:
            raise
    for outcome in (run.broken, run.interrupted):
        if outcome is not None:
            raise outcome


_Step = TypeVar("_Step", bound=Callable[..., None])


def _step(method: _Step) -> _Step:
    """Let nothing more happen once the run has its outcome or was long enough, and remember how a step ended."""

    @wraps(method)
    def guarded(machine: _Machine, **drawn: int) -> None:
        run = machine.run
        if run.broken is not None:
            raise run.broken
        if run.interrupted is not None or time.monotonic() > run.enough:
            return
        try:
            method(machine, **drawn)
        except Broken as broken:
            run.broken = broken
            raise
        except (Inconclusive, NotExercised, RateLimited) as error:
            run.interrupted = error

    return cast(_Step, guarded)


class _Machine(RuleBasedStateMachine):
    """Up to six connections of several tenants. A subclass holds the run."""

    run: ClassVar[_Run]

    def __init__(self) -> None:
        super().__init__()
        self._relay = self.run.relay
        self._open: list[_Held] = []
        self._tunnels = {tenant.id: _Counts(tenant.tunnel_limit) for tenant in self.run.tenants}
        self._connections = {tenant.id: _Counts(tenant.connection_limit) for tenant in self.run.tenants}

    @initialize()
    @_step
    def start_with_all_room(self) -> None:
        """Wait until what the example before held is given back."""
        with self._relay.control("all room of every limit"):
            for tenant in self.run.tenants:
                if tenant.tunnel_limit is not None:
                    self._relay.soon(partial(served_tunnels, self._relay, tenant, tenant.tunnel_limit))
                if tenant.connection_limit is not None:
                    self._relay.soon(partial(served_connections, self._relay, tenant, tenant.connection_limit))

    @precondition(lambda self: len(self._open) < 6)
    @rule(choice=st.integers(0, 3))
    @_step
    def connect(self, choice: int) -> None:
        """Authenticate a connection of some tenant."""
        tenant = self.run.tenants[choice % len(self.run.tenants)]
        session, exchange = self._patiently(self._connections[tenant.id], partial(self._join, tenant))
        accepted = judge.served(exchange)
        self._judge(self._connections[tenant.id], exchange, accepted, "CB-LIM-012", "CB-LIM-011")
        if accepted:
            tunnels = int(tenant.tunnel_limit is None)
            self._connections[tenant.id].held += 1
            self._tunnels[tenant.id].held += tunnels
            self._open.append(_Held(tenant, session, tunnels))
        else:
            session.close()

    @precondition(lambda self: bool(self._open))
    @rule(choice=st.integers(0, 5))
    @_step
    def open_tunnel(self, choice: int) -> None:
        """Ask for a tunnel on some connection."""
        held = self._open[choice % len(self._open)]
        counts = self._tunnels[held.tenant.id]
        if counts.limit is None and held.tunnels >= 3:
            return
        _, exchange = self._patiently(counts, partial(self._ask, held.session))
        accepted = judge.served(exchange)
        several = len({id(other) for other in self._open if other.tenant == held.tenant and other.tunnels}) > 1
        self._judge(counts, exchange, accepted, "CB-LIM-005" if several else "CB-LIM-002", "CB-LIM-001")
        held.tunnels += accepted
        counts.held += accepted
        self._forget_if_ended(held)

    @precondition(lambda self: bool(self._open))
    @rule(choice=st.integers(0, 5))
    @_step
    def ask_for_a_bad_tunnel(self, choice: int) -> None:
        """Ask for a tunnel to port 0: it is refused and counts for nothing."""
        held = self._open[choice % len(self._open)]
        held.session.ask(self._relay.tunnel_info(held.tenant.id, remote_port=0), invalid="remote_port is 0")
        self._forget_if_ended(held)

    @precondition(lambda self: bool(self._open))
    @rule(choice=st.integers(0, 5))
    @_step
    def close(self, choice: int) -> None:
        """Close some connection, with all its tunnels."""
        held = self._open[choice % len(self._open)]
        held.session.close()
        self._forget_if_ended(held)

    def _join(self, tenant: Tenant) -> tuple[Session, Exchange]:
        """Authenticate a new connection; the page doesn't say at which step it counts, so it opens a tunnel, too."""
        session = self._relay.greeted()
        exchange = self._relay.authenticate(session, tenant)
        if session.authenticated and tenant.tunnel_limit is None:
            exchange = session.ask(self._relay.tunnel_info(tenant.id))
        return session, exchange

    def _ask(self, session: Session) -> tuple[Session, Exchange]:
        return session, session.ask(self._relay.tunnel_info(session.tenant))

    def _patiently(self, counts: _Counts, ask: Callable[[], tuple[Session, Exchange]]) -> tuple[Session, Exchange]:
        """Ask; where there must be room, ask again for as long as what was closed before the example may be counted."""
        found: list[tuple[Session, Exchange]] = []

        def attempt() -> None:
            for session, _ in found[-1:]:
                if session not in [held.session for held in self._open]:
                    session.close()
            found.append(ask())
            self._notice_ends()
            if counts.must_accept() and judge.error_code(found[-1][1]) == _OVER:
                raise Broken("room", _OVER)

        with contextlib.suppress(Broken):
            self._relay.soon(attempt)
        return found[-1]

    def _notice_ends(self) -> None:
        """Forget the connections that the relay closed in the meantime."""
        for held in tuple(self._open):
            held.session.look(0.0)
            self._forget_if_ended(held)

    def teardown(self) -> None:
        """Close what is open."""
        for held in self._open:
            held.session.close()

    def _forget_if_ended(self, held: _Held) -> None:
        if not held.session.ended or held not in self._open:
            return
        self._open.remove(held)
        for counts, number in ((self._connections[held.tenant.id], 1), (self._tunnels[held.tenant.id], held.tunnels)):
            counts.held -= number
            counts.closed += number

    @staticmethod
    def _judge(counts: _Counts, exchange: Exchange, accepted: bool, over: str, under: str) -> None:
        """Raise Broken where the model knows better than the relay."""
        state = f"{counts.held} held and {counts.closed} given back, of {counts.limit}"
        if accepted and counts.must_refuse():
            raise Broken(f"{_OVER} ({state})", "it was accepted", exchange, requirement=over)
        if accepted:
            return
        code = judge.error_code(exchange)
        if counts.must_accept() and code == _OVER:
            raise Broken(f"room ({state})", f"an error with code {_OVER}", exchange, requirement=under)
        if counts.must_refuse() and code != _OVER:
            seen = judge.describe(exchange.answers[0]) if exchange.answers else judge.silence(exchange)
            raise Broken(f"an error with code {_OVER} ({state})", seen, exchange, requirement=over)
        if code in judge.OUT_OF_ROOM and code != _OVER:
            raise NotExercised(f"the relay answers {code} before the tenants' limits are reached")
        if code != _OVER:
            raise Inconclusive(f"the relay answers {code or 'nothing'} to a valid request")
