"""How limits are counted on the wrong account: for another holder, only once, for ever, or given back too early."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Request
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.limits import Account, UsageCounters
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import BUFFERS, RELAY_CONNECTIONS, TENANT_CONNECTIONS, TENANT_TUNNELS, Quota, Step
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body
from cbspec_simulator.variations.compose import Change, answers, asked, both, each_step, quota, silence

TUNNELS, CONNECTIONS = TENANT_TUNNELS.name, TENANT_CONNECTIONS.name
RELAY, POOL = RELAY_CONNECTIONS.name, BUFFERS.name


def holding(name: str, holder: Callable[[Attempt], Hashable]) -> Change:
    """Count on another account."""
    return quota(name, holder=holder)


def watching(name: str, make: Callable[[Step], Callable[[Attempt], None]]) -> Change:
    """Put a check that keeps something in mind in a step's place, anew for each behaviour."""

    def change(behaviour: Behaviour) -> Behaviour:
        return each_step(name, lambda step: (replace(step, check=make(step)),))(behaviour)

    return change


def once(name: str, whose: Callable[[Attempt], Hashable]) -> Change:
    """Refuse each holder only the first time."""

    def make(step: Step) -> Callable[[Attempt], None]:
        told: set[Hashable] = set()

        def check(attempt: Attempt) -> None:
            key = id(attempt.relay), whose(attempt)
            try:
                step.check(attempt)
            except Refused:
                if key in told:
                    return
                told.add(key)
                raise

        return check

    return watching(name, make)


def looked_at_first(name: str, together: Callable[[Moment, Moment], bool]) -> Change:
    """Hold what is asked for together against the count before the first of it: look first, count later."""

    def make(step: Step) -> Callable[[Attempt], None]:
        quota = step.check
        assert isinstance(quota, Quota)  # noqa: S101 - the steps of that name are
        looks: dict[Hashable, tuple[Moment, int]] = {}

        def check(attempt: Attempt) -> None:
            account = Account(name, quota.holder(attempt))
            ledger, limit, key = attempt.relay.usage, quota.limit(attempt), (id(attempt.relay), account)
            if key not in looks or not together(looks[key][0], attempt.now):
                looks[key] = attempt.now, ledger.used(account)
            if limit is not None and looks[key][1] >= limit:
                raise Refused(quota.code, quota.text, close=quota.close)
            ledger.take(account, None)
            attempt.held.append(account)

        return check

    return watching(name, make)


def sticks(name: str, whose: Callable[[Attempt], Hashable]) -> Change:
    """Go on refusing whoever was refused once."""

    def make(step: Step) -> Callable[[Attempt], None]:
        told: dict[Hashable, Refused] = {}

        def check(attempt: Attempt) -> None:
            key = id(attempt.relay), whose(attempt)
            if key in told:
                raise Refused(told[key].code, told[key].text, close=told[key].close)
            try:
                step.check(attempt)
            except Refused as refused:
                told[key] = refused
                raise

        return check

    return watching(name, make)


def closes(name: str, code: ErrorCode, request: type[Request]) -> Change:
    """Close without a word in the stead of the error."""
    return both(quota(name, close=True), answers(f"error:{code}", silence, asked(request)))


def freed(name: str, by: str) -> Change:
    """Give back everything that is counted under a name when a connection ends that holds something under another.

    A tenant's is given back by a connection of that tenant only.
    """

    def change(behaviour: Behaviour) -> Behaviour:
        ledgers: set[UsageCounters] = set()

        def make(step: Step) -> Callable[[Attempt], None]:
            def check(attempt: Attempt) -> None:
                ledgers.add(attempt.relay.usage)
                step.check(attempt)

            return check

        def gives_back(account: Account) -> bool:
            if account.name == by:
                freed = Account(name, account.holder if name != POOL else None)
                for ledger in ledgers:
                    while ledger.used(freed) > (name == by):
                        ledger.give(freed)
            return behaviour.gives_back(account)

        return watching(name, make)(replace(behaviour, gives_back=gives_back))

    return change


def half(name: str) -> Change:
    """Give back only every second one."""

    def change(behaviour: Behaviour) -> Behaviour:
        kept = False

        def gives_back(account: Account) -> bool:
            nonlocal kept
            if account.name == name:
                kept = not kept
            return not (kept and account.name == name)

        return replace(behaviour, gives_back=gives_back)

    return change


def refusal_frees(attempt: Attempt, refused: Refused) -> None:
    """Stop counting a connection that was refused a tunnel."""
    if refused.code is ErrorCode.INVALID_TUNNEL_INFO and attempt.identity is not None:
        account = Account(CONNECTIONS, attempt.identity.tenant.id)
        if attempt.relay.usage.used(account):
            attempt.relay.usage.give(account)


def refused_ones_take_buffers(attempt: Attempt, refused: Refused) -> None:
    """Take a buffer for a tunnel_info that was refused."""
    if refused.code is ErrorCode.INVALID_TUNNEL_INFO:
        attempt.relay.usage.take(Account(POOL, None), None)


def refused_ones_count(step: Step) -> Callable[[Attempt], None]:
    """Count a connection that was refused for want of room."""

    def check(attempt: Attempt) -> None:
        try:
            step.check(attempt)
        except Refused:
            attempt.relay.usage.take(Account(RELAY, None), None)
            raise

    return check


def told_and_served(behaviour: Behaviour) -> Behaviour:
    """Say that there is no room, and serve all the same."""
    told: set[tuple[int, int]] = set()

    def make(step: Step) -> Callable[[Attempt], None]:
        def check(attempt: Attempt) -> None:
            try:
                step.check(attempt)
            except Refused:
                told.add((id(attempt.relay), attempt.connection.number))

        return check

    def edit(body: Body, exchange: AnswerContext) -> Body:
        code = {"type": "error", "code": "connection_limit_reached", "message": "the relay is full"}
        session = exchange.connection
        return code if (id(session.relay), session.number) in told else body

    return both(watching(RELAY, make), answers("hello_response", edit))(behaviour)


def at_auth(holder: Callable[[Attempt], Hashable]) -> Change:
    """Count the relay's connections only when they authenticate, for each holder anew."""

    def change(behaviour: Behaviour) -> Behaviour:
        left = each_step(RELAY, lambda _: ())(behaviour)
        step = Step(RELAY, replace(RELAY_CONNECTIONS, holder=holder))
        return replace(left, steps={**left.steps, Auth: (*left.steps[Auth], step)})

    return change


def until_auth(behaviour: Behaviour) -> Behaviour:
    """Count the relay's connections only until they have authenticated."""

    def leave(attempt: Attempt) -> None:
        account = Account(RELAY, None)
        if attempt.relay.usage.used(account):
            attempt.relay.usage.give(account)

    steps = {**behaviour.steps, Auth: (*behaviour.steps[Auth], Step("leaves-the-count", leave))}
    return replace(behaviour, steps=steps)


def tenant(attempt: Attempt) -> str:
    """Return whose tenant a request is."""
    return attempt.known.tenant.id


def subject(attempt: Attempt) -> Hashable:
    """Return whose subject, within its tenant."""
    return tenant(attempt), attempt.known.subject


def transport(attempt: Attempt) -> Hashable:
    """Return which transport, within the tenant."""
    return tenant(attempt), isinstance(attempt.connection.framer, WebSocketFramer)


def connection(attempt: Attempt) -> Hashable:
    """Return which connection."""
    return attempt.connection.number


def nobody(_: Attempt) -> None:
    """Return the one account that everybody has in common."""
    return


def of_all(name: str) -> Change:
    """Count what all tenants hold against each tenant's own limit."""

    def counted(step: Step) -> tuple[Step, ...]:
        assert isinstance(step.check, Quota)  # noqa: S101 - a mistake of the caller's
        return (replace(step, check=replace(step.check, holder=nobody)),)

    return each_step(name, counted)
