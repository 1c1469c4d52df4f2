"""Source: Error Codes / rate_limit_exceeded. These come last: what they draw may last a while."""

from __future__ import annotations

import time
from collections.abc import Iterable

from cbspec.profile.profile import Rate, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import CLOSED, OPEN
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.runner.marks import alone, last, requirement
from cbspec_conformance.target.relay import RelayUnderTest

_MOST = 32  # connections over which a rate is exceeded
_BATCH = 20
_MARGIN = 3
"""How far above the declared rate "well above" is: limits may be counted in windows as well as in buckets."""

_TOGETHER = "an answer to each of many heartbeats"


@last
@alone
@requirement("CB-RAT-002")
def test_well_below_the_rate(relay: RelayUnderTest) -> None:
    """From a fresh start, half the declared burst goes out at once, then heartbeats at half the rate: none is refused.

    No more go out at once than a quarter of what is allowed in a second, so that no other way to count refuses any.
    """
    tenant, rate = _rated(relay, 0)
    session = _fresh(relay, tenant, rate)
    _burst(relay, session, _few(rate))
    # Enough to empty the bucket of a relay that allows much less than it should, in ten seconds at the most.
    count = max(3, min(int(rate.burst * 1.5) + 10, int(rate.per_second * 5)))
    for _ in range(count):
        time.sleep(2 / rate.per_second)
        exchange = session.heartbeat()
        if judge.error_code(exchange) == "rate_limit_exceeded":
            raise Broken("service well below the declared rate", "rate_limit_exceeded at half of it", exchange)


@last
@alone
@requirement("CB-RAT-001")
def test_well_above_the_rate(relay: RelayUnderTest) -> None:
    """Heartbeats go out as fast as they can, three times as many as burst and rate allow in a second."""
    tenant, rate = _rated(relay, 1)
    _draw(relay, _fresh(relay, tenant, rate), rate)


@last
@alone
@requirement("CB-RAT-001")
def test_connections_of_a_tenant_add_up(relay: RelayUnderTest) -> None:
    """Where the rate is declared for the tenant, several connections of several subjects exceed it together."""
    tenant, rate = _rated(relay, 0)
    if rate.scope != "tenant":
        raise NotExercised('give tenants.rate.scope = "tenant"')
    wanted, each = _too_many(rate), max(1, rate.burst - 2)
    count = -(-wanted // each)
    limits = [limit for limit in (tenant.connection_limit, relay.profile.relay.connection_limit) if limit is not None]
    if count > min([_MOST, *limits]):
        raise NotExercised(f"it takes {count} connections of {tenant.id} to exceed its rate without a burst on any")
    relay.shared.rates_used.add(tenant.id)
    sessions = [relay.authenticated(tenant, subject=f"cbspec-{number}") for number in range(count)]
    began = time.monotonic()
    for session in sessions:
        session.expect_rate_limit()
        noted = [session.note({"type": "heartbeat"}) for _ in range(each)]
        session.send_unanswered(b"".join(data for _, data in noted))
    answers: list[Message] = []
    for session in sessions:
        answers += _answers(relay, session, each)
        if session.ended or any(answer.member("code") == "rate_limit_exceeded" for answer in answers):
            return  # the code that belongs to an end is the case's above
        if len(answers) % each:
            raise Inconclusive("heartbeats that arrive together aren't all answered (see CB-MSG-010)")
    _legible(relay, noted[0][0], answers)
    speed = _well_above(rate, len(answers), began)
    seen = f"{len(answers)} heartbeats of {count} connections answered at {speed:.0f}/s, none refused"
    raise Broken(f"rate_limit_exceeded well above {rate.per_second:g}/s for the tenant", seen)


@last
@alone
@requirement("CB-RAT-003")
def test_recovers(relay: RelayUnderTest) -> None:
    """After the limit struck, the client waits a while, or as long as its bucket takes to fill, and is served again."""
    tenant, rate = _rated(relay, 2)
    session = _fresh(relay, tenant, rate)
    with relay.control("rate_limit_exceeded above the rate"):
        session = _draw(relay, session, rate)
    for share in (16, 5):
        time.sleep(_pause(rate) / share)
        session.unasked()  # a close behind the limit may have come in the meantime
        if not session.ended and judge.served(session.heartbeat()):
            return
    time.sleep(_pause(rate))
    session = _fresh(relay, tenant, rate) if session.ended else session
    judge.accepted(session.heartbeat(), "rate_limit_exceeded")


@last
@alone
@requirement("CB-RAT-004")
def test_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """After one tenant drew the limit, another one's heartbeats are answered, at a rate below its own."""
    tenant, rate = _rated(relay, 3)
    if rate.scope not in ("tenant", "subject"):
        raise NotExercised('give tenants.rate.scope = "tenant" or "subject"')
    other = next((one for one in (relay.tenant, relay.profile.second_tenant) if one and one.id != tenant.id), None)
    if other is None:
        raise NotExercised("give tenants (a second active one)")
    theirs = relay.authenticated(other, subject="cbspec-other")
    theirs.expect_rate_limit()
    with relay.control("rate_limit_exceeded above the rate"):
        _draw(relay, _fresh(relay, tenant, rate), rate)
    for _ in range(3):
        judge.accepted(theirs.heartbeat(), "rate_limit_exceeded")


@last
@alone
@requirement("CB-RAT-004")
def test_tenants_with_a_rate_have_one_each(relay: RelayUnderTest) -> None:
    """After one tenant drew the limit, another that has a rate, too, sends half its burst at once: none is refused."""
    tenant, rate = _rated(relay, 4)
    other, theirs = _rated(relay, 5)
    if tenant.id == other.id or not _few(theirs):
        raise NotExercised("give tenants.rate for two tenants, with a burst of two or more")
    if not {rate.scope, theirs.scope} <= {"tenant", "subject"}:
        raise NotExercised('give tenants.rate.scope = "tenant" or "subject"')
    beside = _fresh(relay, other, theirs)
    with relay.control("rate_limit_exceeded above the rate"):
        _draw(relay, _fresh(relay, tenant, rate), rate)
    _burst(relay, beside, _few(theirs))


@last
@alone
@requirement("CB-RAT-101")
def test_scope(relay: RelayUnderTest) -> None:
    """While one connection draws the limit, others beside it send a few heartbeats, ever more unlike it."""
    tenant, rate = _rated_again(relay)
    beside = {
        "a connection's": _unpaced(relay.authenticated(tenant)),
        "a subject's": _unpaced(relay.authenticated(tenant, subject="cbspec-other")),
    }
    other = next((one for one in (relay.tenant, relay.profile.second_tenant) if one and one.id != tenant.id), None)
    if other is not None:
        beside["a tenant's"] = _unpaced(relay.authenticated(other))
    flooding = [_unpaced(relay.authenticated(tenant)) for _ in beside]
    for (scope, session), flood in zip(beside.items(), flooding, strict=True):
        if not _strikes(relay, flood, session, rate):
            relay.log.saw(scope)
            return
    relay.log.saw("more than a tenant's" if other is not None else "a tenant's, or more than that")


@last
@alone
@requirement("CB-RAT-102")
def test_behind_the_limit(relay: RelayUnderTest) -> None:
    """After the limit struck a connection, it is asked for one more heartbeat."""
    tenant, rate = _rated_again(relay)
    session = _unpaced(relay.authenticated(tenant))
    with relay.control("rate_limit_exceeded above the rate"):
        session = _draw(relay, session, rate)
    session.answers(1, 0.0)
    exchange = session.heartbeat()
    if not exchange.answers and exchange.ended is None:
        raise Inconclusive("neither an answer nor an end behind the limit")
    relay.log.saw(OPEN if exchange.answers else CLOSED)


def _strikes(relay: RelayUnderTest, flooding: ProbeSession, beside: ProbeSession, rate: Rate) -> bool:
    """Whether a session that sends little is refused while another draws the limit: in any of three rounds."""
    few = max(3, min(int(rate.burst) // 4, 10))
    for _ in range(3):
        with relay.control("rate_limit_exceeded above the rate"):
            flooding = _draw(relay, flooding, rate)
        beside.send_unanswered(b"".join(beside.note({"type": "heartbeat"})[1] for _ in range(few)))
        if any(answer.member("code") == "rate_limit_exceeded" for answer in _answers(relay, beside, few)):
            return True
        if beside.ended:
            raise Inconclusive("the relay closed a connection beside its limit")
        if flooding.ended:
            break
    return False


def _few(rate: Rate) -> int:
    """Return how many requests at once no way to count a rate refuses, from a fresh start."""
    return min(rate.burst // 2, int(rate.per_second) // 4)


def _too_many(rate: Rate) -> int:
    """Return how many requests in a second any way to count a rate refuses some of."""
    return int(_MARGIN * (rate.burst + rate.per_second)) + 10


def _answers(relay: RelayUnderTest, session: ProbeSession, count: int) -> tuple[Message, ...]:
    """Return what comes of so many heartbeats. Where some were seen to draw nothing, that is waited for less long."""
    answers = session.answers(count, relay.tempo.timeout(_TOGETHER))
    if len(answers) < count and not session.ended:
        relay.tempo.waited_for_nothing(_TOGETHER)
    return answers


def _burst(relay: RelayUnderTest, session: ProbeSession, count: int) -> None:
    """Send so many heartbeats at once. Raises Broken where one is refused for the rate."""
    noted = [session.note({"type": "heartbeat"}) for _ in range(count)]
    session.send_unanswered(b"".join(data for _, data in noted), messages=count)
    answers = _answers(relay, session, count)
    for number, answer in enumerate(answers, 1):
        if answer.member("code") == "rate_limit_exceeded":
            seen = f"rate_limit_exceeded to heartbeat {number} of {count} at once"
            exchange = Exchange(noted[0][0], answers)
            raise Broken(f"{count} requests at once within the declared burst", seen, exchange)
    if answers:
        _legible(relay, noted[0][0], answers)


def _rated_again(relay: RelayUnderTest) -> tuple[Tenant, Rate]:
    """Return a tenant for a case that needs no fresh start, and take note that it has none from now on."""
    tenant, rate = _rated(relay, 0)
    relay.shared.rates_used.add(_account(tenant, rate))
    return tenant, rate


def _legible(relay: RelayUnderTest, asked: Message, answers: Iterable[Message]) -> None:
    """See that answers can be judged; what they break besides is blamed where it belongs."""
    for answer in answers:
        if answer.type != "heartbeat_response":
            relay.log.observe(Exchange(asked, (answer,)))
        judge.legible(answer)


def _rated(relay: RelayUnderTest, number: int) -> tuple[Tenant, Rate]:
    """Return the tenant with a rate that the case of this number uses: one of its own, where the profile has several.

    Several count as fresh only where the rate is the tenant's own: another scope may count them together.
    """
    tenants = relay.profile.tenants_with("rate")
    if not tenants:
        raise NotExercised("give tenants.rate (for a tenant of its own)")
    tenant = tenants[number % len(tenants)]
    if tenant.rate is None:
        raise AssertionError("tenants_with gives only tenants that have it")
    return tenant, tenant.rate


def _account(tenant: Tenant, rate: Rate) -> str:
    return tenant.id if rate.scope in ("tenant", "subject") else ""


def _pause(rate: Rate) -> float:
    """Return the seconds after which a limit of any kind has forgotten what was: its bucket or window, at least one."""
    return min(max(rate.burst / rate.per_second, 1.0) * 1.2, 30.0)


def _fresh(relay: RelayUnderTest, tenant: Tenant, rate: Rate) -> ProbeSession:
    """Return a session of the tenant with nothing used up."""
    account = _account(tenant, rate)
    # What isn't a tenant's own another case has used, and another worker may have used any a moment ago.
    used = account in relay.shared.rates_used or not account or relay.shared.processes > 1
    time.sleep(max(0.0, _pause(rate) - (0.0 if used else relay.shared.since_rate_exceeded)))
    relay.shared.rates_used.add(account)
    return _unpaced(relay.authenticated(tenant))


def _unpaced(session: ProbeSession) -> ProbeSession:
    """Let a session draw the limit."""
    session.expect_rate_limit(unpaced=True)
    return session


def _draw(relay: RelayUnderTest, session: ProbeSession, rate: Rate) -> ProbeSession:
    """Send heartbeats in batches until the limit strikes; return the session it struck. Raises Broken where none."""
    relay.pace.needs(rate.per_second * _MARGIN)
    wanted = _too_many(rate)
    # A slow relay is asked faster than it answers, or it would never be asked too often.
    batch = min(max(_BATCH, int(_MARGIN * rate.per_second * relay.facts.latency.fastest)), wanted)
    sent = answered = 0
    began = time.monotonic()
    while sent < wanted:
        noted = [session.note({"type": "heartbeat"}) for _ in range(batch)]
        session.send_unanswered(b"".join(data for _, data in noted), messages=batch)
        sent += batch
        answers = _answers(relay, session, batch)
        answered += len(answers)
        if any(answer.member("code") == "rate_limit_exceeded" for answer in answers):
            return session
        _legible(relay, noted[0][0], answers)
        if session.ended:
            return _draw_one_by_one(relay, session.tenant, rate, f"the connection ended after {answered} answers")
        if len(answers) < batch:
            if not relay.alive():
                raise Inconclusive("the relay stopped answering")
            return _draw_one_by_one(relay, session.tenant, rate, f"silence behind {answered} answers")
    speed = _well_above(rate, sent, began)
    seen = f"{answered} of {sent} heartbeats answered at {speed:.0f}/s, none refused"
    raise Broken(f"rate_limit_exceeded well above {rate.per_second:g}/s with a burst of {rate.burst}", seen)


def _draw_one_by_one(relay: RelayUnderTest, tenant_id: str, rate: Rate, before: str) -> ProbeSession:
    """Draw the limit with each heartbeat's answer awaited, on a new connection. Raises Broken where no code comes.

    A relay that ends the connection behind an error may lose it, with what was on its way when input was still unread,
    and one that answers requests which arrive together by one answer (see CB-MSG-010) may limit them all the same.
    `before` says what came of those.
    """
    time.sleep(_pause(rate))
    session = _unpaced(relay.authenticated(relay.profile.tenant(tenant_id)))
    began = time.monotonic()
    wanted = _too_many(rate)
    for _ in range(wanted):
        exchange = session.heartbeat()
        if judge.error_code(exchange) == "rate_limit_exceeded":
            return session
        if not judge.served(exchange):
            raise Broken("rate_limit_exceeded", f"{before}, without the code", exchange)
    _well_above(rate, wanted, began)
    raise Broken("rate_limit_exceeded", f"{before}, without the code; one by one, none was refused")


def _well_above(rate: Rate, sent: int, began: float) -> float:
    """Return how many requests a second were sent since `began`. Raises NotExercised where that isn't well above."""
    speed = sent / (time.monotonic() - began)
    if speed < rate.per_second * 1.5:
        raise NotExercised(f"the relay answers {speed:.0f} requests/s, which is not well above {rate.per_second:g}/s")
    return speed
