"""Source: Error Codes / rate_limit_exceeded. Most of these cases come last, unless a rate is the tenant's own.

Their effect may last for a while.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from cbspec.profile.profile import Rate, Tenant
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NeedsAlone, NotExercised
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message
from cbspec_conformance.relay.error_codes.refusals import connection_after_error, other_tenant
from cbspec_conformance.runner.marks import last, rates, requirement
from cbspec_conformance.target import room
from cbspec_conformance.target.relay import RelayUnderTest

_CODE = "rate_limit_exceeded"
_MOST_CONNECTIONS = 32
_BATCH = 20
_LONGEST_IDLE = 20.0  # seconds
_FAST = 0.01  # seconds of an answer
_MARGIN = 3  # how far above the declared rate "well above" is: a relay may count in windows or in token buckets
_KINDS = ("heartbeat", "tunnel_info")  # the specification doesn't say which requests count
_Request = Mapping[str, object]
_TOGETHER = "an answer to each of many requests"


@rates(None)
@requirement("CB-RAT-002")
def test_below_the_rate(relay: RelayUnderTest) -> None:
    """Send a heartbeat, idle, send half the declared burst at once, then heartbeats at half the rate: all are served.

    The heartbeats sent at once are at most a quarter of a second's allowance, so that no way of counting refuses any.
    """
    rated = _rated(relay, None)
    session = _unpaced(relay.authenticated(rated.tenant))
    rated.ask(session)  # an earlier run may have used up the rate
    rated.idle(2 * rated.pause)
    relay.clock.sleep(rated.unused_after)
    session = rated.fresh() if session.ended else session
    rated.burst(session)
    # Enough to empty the bucket of a relay with a much lower limit, but at most ten seconds.
    count = max(3, min(int(rated.rate.burst * 1.5) + 10, int(rated.rate.per_second * 5)))
    for _ in range(count):
        relay.clock.sleep(2 / rated.rate.per_second)
        exchange = session.heartbeat()
        if judge.error_code(exchange) == _CODE:
            rated.unless_exceeded_before()
            raise Broken("service well below the declared rate", "rate_limit_exceeded at half of it", exchange)


@last
@rates(room.SPARE, 8)
@requirement("CB-RAT-002")
def test_tenants_with_different_rates(relay: RelayUnderTest) -> None:
    """Send half the declared burst at once for tenants with different rates, the lowest first: all are served."""
    lower, higher = sorted((_rated(relay, room.SPARE), _rated(relay, 8)), key=lambda rated: rated.rate.burst)
    if lower.rate == higher.rate:
        raise NotExercised("give tenants.rate for two tenants, with different rates")
    for rated, session in zip((lower, higher), _fresh(lower, higher), strict=True):
        began = time.monotonic()
        rated.burst(session)
    # The lower rate would allow the higher one's requests in that time.
    higher.undelayed(began, (higher.few - lower.rate.burst) / lower.rate.per_second + relay.facts.latency.trip)


@last
@rates(4)
@requirement("CB-RAT-001")
def test_well_above_the_rate_after_idling(relay: RelayUnderTest) -> None:
    """Exceed the rate, send nothing for some seconds, and exceed it again: what was not used adds up to one burst."""
    rated = _rated(relay, 4)
    unused = rated.account not in relay.shared.rates_exceeded
    rated.exceed(rated.fresh())  # a case that begins again may find so much saved up that this is judged, too
    # A window or a bucket that was full at first never allows so many at one and a half times the rate (`well_above`).
    enough = min([rated.too_many, *(4 * count + 30 for count in rated.refused_at if unused)])
    rated.idle(1.2 * enough / rated.rate.per_second)  # if they were saved up, all requests would be served
    rated.exceed(_unpaced(relay.authenticated(rated.tenant)), (relay.shared.rated_kind,), most=enough)


@last
@rates(0)
@requirement("CB-RAT-001")
def test_well_above_the_rate(relay: RelayUnderTest) -> None:
    """Send heartbeats, then tunnel_infos at full speed, three times as many as burst and rate allow in a second."""
    rated = _rated(relay, 0)
    rated.exceed(rated.fresh())


@last
@rates(1)
@requirement("CB-RAT-001")
def test_connections_of_a_tenant_add_up(relay: RelayUnderTest) -> None:
    """If the rate is the tenant's, exceed it with several connections of several subjects together."""
    rated = _rated(relay, 1)
    tenant, rate = rated.tenant, rated.rate
    if rate.scope != "tenant":
        raise NotExercised('give tenants.rate.scope = "tenant"')
    each = max(1, rate.burst - 2)
    count = -(-rated.too_many // each)
    limits = [limit for limit in (tenant.connection_limit, relay.profile.relay.connection_limit) if limit is not None]
    if count > min([_MOST_CONNECTIONS, *limits]):
        raise NotExercised(f"it takes {count} connections of {tenant.id} to exceed its rate without a burst on any")
    rated.uses(exceeded=True)
    subjects = [relay.tokens.subject(str(number)) for number in range(count)]
    sessions = at_once([partial(relay.authenticated, tenant, subject=subject) for subject in subjects])
    seen: list[str] = []
    for kind in rated.kinds():
        if seen:  # the requests of another kind may have used up the burst of each connection
            relay.clock.sleep(rated.pause)
        began = time.monotonic()
        for session in sessions:
            session.expect_rate_limit()
            first = rated.send(session, each, kind)
        answers: list[Message] = []
        for session in sessions:
            answers += rated.answers(session, each)
            if session.ended or _refused(answers):
                return  # the case of one connection judges an end without the code
            if len(answers) % each:
                raise Inconclusive("requests that arrive together aren't all answered (see CB-MSG-010)")
        rated.check_legible(first, answers)
        speed = rated.well_above(len(answers), began)
        seen.append(f"{_counted(answers)} to {len(answers)} {kind}s of {count} connections at {speed:.0f}/s")
    raise Broken(f"rate_limit_exceeded well above {rate.per_second:g}/s for the tenant", "; ".join(seen))


@last
@rates(5)
@requirement("CB-RAT-001")
def test_well_above_the_rate_with_auths(relay: RelayUnderTest) -> None:
    """Exceed the rate with a second auth before every few requests, each of which is within the burst."""
    rated = _rated(relay, 5, own=True)
    rated.exceeded(rated.fresh())
    session = rated.fresh()
    session.assume(authenticated=False, tenant="")  # the page leaves a second auth open
    auth = {"type": "auth", "token": relay.tokens.valid(rated.tenant)}
    if not rated.few or not judge.served(session.ask(auth)):
        raise NotExercised("the relay refuses a second auth, or its declared burst is too low for this case")
    rated.exceed(session, (relay.shared.rated_kind,), before=[auth])


@last
@rates(2)
@requirement("CB-RAT-003")
def test_recovers(relay: RelayUnderTest) -> None:
    """Exceed the rate by far, wait until a token bucket is full again, then send a request.

    Requests that are refused must not use up what comes back later.
    """
    rated = _rated(relay, 2)
    session = rated.exceeded(rated.fresh())
    began = time.monotonic()
    if not session.ended:
        rated.send(session, rated.too_many)
        rated.answers(session, rated.too_many)
    for share in (16, 5):
        relay.clock.sleep(rated.pause / share)
        session.unasked()  # the relay may have closed the connection after the error
        if not session.ended and judge.served(rated.ask(session)):
            break
    else:
        relay.clock.sleep(rated.pause)
        session = rated.fresh() if session.ended else session
        judge.accepted(rated.ask(session), _CODE)
    rated.undelayed(began, rated.too_many / rated.rate.per_second)  # after that, refused requests have come back, too


@last
@rates(3)
@requirement("CB-RAT-004")
def test_limit_is_the_tenants_own(relay: RelayUnderTest) -> None:
    """One tenant exceeds its rate; the heartbeats of another tenant below its own rate are answered."""
    rated = _rated(relay, 3, own=True)
    theirs = relay.authenticated(other_tenant(relay, rated.tenant), subject=relay.tokens.subject("other"))
    theirs.expect_rate_limit()
    rated.exceeded(rated.fresh())
    for _ in range(3):
        judge.accepted(theirs.heartbeat(), _CODE)


@last
@rates(6, room.SPARE)
@requirement("CB-RAT-004")
def test_tenants_with_a_rate_have_one_each(relay: RelayUnderTest) -> None:
    """One tenant exceeds its rate; another tenant with a rate sends half its burst at once: all are served."""
    rated, others = _rated(relay, 6, own=True), _rated(relay, room.SPARE, own=True)
    if rated.tenant.id == others.tenant.id or not others.few:
        raise NotExercised("give tenants.rate for two tenants, with a burst of two or more")
    session, others_session = _fresh(rated, others)
    rated.exceeded(session)
    others.burst(others_session)


@last
@rates(0)
@requirement("CB-RAT-101")
def test_scope(relay: RelayUnderTest) -> None:
    """While one connection exceeds the rate, send some heartbeats on others: same subject, same tenant, another."""
    rated = _rated(relay, 0, again=True)
    observed = {
        "a connection's": _unpaced(relay.authenticated(rated.tenant)),
        "a subject's": _unpaced(relay.authenticated(rated.tenant, subject=relay.tokens.subject("other"))),
    }
    with contextlib.suppress(NotExercised):  # without a second tenant, the widest scopes can't be told apart
        observed["a tenant's"] = _unpaced(relay.authenticated(other_tenant(relay, rated.tenant)))
    flooding = [_unpaced(relay.authenticated(rated.tenant)) for _ in observed]
    for (scope, session), flood in zip(observed.items(), flooding, strict=True):
        if not rated.affects(flood, session):
            relay.log.saw(scope)
            return
    relay.log.saw("more than a tenant's" if "a tenant's" in observed else "a tenant's, or more than that")


@last
@rates(0)
@requirement("CB-RAT-102")
def test_connection_after_the_limit(relay: RelayUnderTest) -> None:
    """Exceed the rate on a connection, then send another heartbeat on it."""
    with relay.control("rate_limit_exceeded above the rate"):
        session = exceed_again(relay)
    session.answers(1, 0.0)
    relay.log.saw(connection_after_error(session, {"type": "heartbeat"}))


def exceed_again(relay: RelayUnderTest) -> ProbeSession:
    """Exceed a rate that may be in use; return the session that was refused. Raises Broken if none is refused."""
    rated = _rated(relay, 0, again=True)
    return rated.exceed(_unpaced(relay.authenticated(rated.tenant)))


def _rated(relay: RelayUnderTest, number: int | None, *, again: bool = False, own: bool = False) -> _Rated:
    """Return the tenant with a rate for the case of this number (`target.room.rated`).

    Several are independent only if the rate is the tenant's own (`own`: it must be): another scope may count them
    together. A case that may find the rate in use gets it `again`, and the use is recorded.
    """
    relay.needs.served("heartbeat")
    tenant = room.rated(relay.profile, number)
    rated = _Rated(relay, tenant, _rate_of(tenant))
    if own and not rated.account:
        raise NotExercised('give tenants.rate.scope = "tenant" or "subject"')
    if again:
        rated.uses(exceeded=True)
    return rated


def _fresh(*tenants: _Rated) -> list[ProbeSession]:
    """Return a session of each tenant when nothing of their rates is used up."""
    tenants[0].relay.clock.sleep(max(rated.unused_after for rated in tenants))
    for rated in tenants:
        rated.uses()
    return [_unpaced(rated.relay.authenticated(rated.tenant)) for rated in tenants]


def _rate_of(tenant: Tenant) -> Rate:
    assert tenant.rate is not None
    return tenant.rate


def _unpaced(session: ProbeSession) -> ProbeSession:
    """Let a session exceed the rate."""
    session.expect_rate_limit(unpaced=True)
    return session


def _counted(answers: Iterable[Message]) -> str:
    """Return how many answers of each kind there are."""
    counts = Counter(map(judge.describe, answers))
    return ", ".join(f"{number} x {kind}" for kind, number in counts.items()) or "no answers"


def _refused(answers: Iterable[Message]) -> list[Message]:
    return [answer for answer in answers if answer.member("code") == _CODE]


@dataclass(frozen=True, slots=True)
class _Rated:
    """A tenant with a rate."""

    relay: RelayUnderTest
    tenant: Tenant
    rate: Rate
    refused_at: list[int] = field(default_factory=list)
    """How many requests had been answered when the rate was exceeded, each time."""

    @property
    def account(self) -> str:
        """The account to which the rate belongs: the tenant's, or "" for a rate that may belong to several tenants."""
        return self.tenant.id if self.rate.own else ""

    @property
    def few(self) -> int:
        """A number of requests at once that every way of counting allows, if nothing is used up."""
        return min(self.rate.burst // 2, int(self.rate.per_second) // 4)

    @property
    def too_many(self) -> int:
        """A number of requests in a second that every way of counting refuses in part."""
        return int(_MARGIN * (self.rate.burst + self.rate.per_second)) + 10

    @property
    def pause(self) -> float:
        """The seconds after which any bucket or window is unused again, at least one."""
        return min(max(self.rate.burst / self.rate.per_second, 1.0) * 1.2, 30.0)

    def idle(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self.relay.clock.sleep(min(seconds, _LONGEST_IDLE))

    def uses(self, *, exceeded: bool = False) -> None:
        """Record that the rate is in use, or is exceeded."""
        self.relay.shared.rates_used[self.account] = self.relay.shared.clock.monotonic()
        if exceeded:
            self.relay.shared.rates_exceeded.add(self.account)

    def unless_exceeded_before(self) -> None:
        """Raise Inconclusive if another case exceeded this rate: a relay need not forgive it (see CB-RAT-003)."""
        shared = self.relay.shared
        alone = len(self.relay.profile.tenants_with("rate")) == 1
        if self.account in shared.rates_exceeded or (alone and shared.uninformed):
            raise Inconclusive("another case exceeded the same rate before: give tenants.rate for a second tenant")

    def kinds(self) -> list[str]:
        """Return the kinds of requests: first the one that counts, or heartbeats as long as none is known to count."""
        return sorted(_KINDS, key=lambda kind: kind != self.relay.shared.rated_kind)

    def send(self, session: ProbeSession, count: int, kind: str = "", before: Sequence[_Request] = ()) -> Message:
        """Send requests of a kind at once ("": of the kind that counts), after others, and return the first.

        All tunnel_infos have one tunnel_id, so that they use little room.
        """
        kind = kind or self.relay.shared.rated_kind
        request = self.relay.tunnel_info(self.tenant.id) if kind == "tunnel_info" else {"type": kind}
        self.uses()
        noted = [session.note(each) for each in (*before, *[request] * count)]
        session.send_unanswered(b"".join(data for _, data in noted), messages=len(noted))
        return noted[0][0]

    def ask(self, session: ProbeSession) -> Exchange:
        """Send one request of the kind that counts."""
        self.uses()
        counts = self.relay.shared.rated_kind
        return session.ask(self.relay.tunnel_info(self.tenant.id) if counts == "tunnel_info" else {"type": counts})

    def fresh(self) -> ProbeSession:
        """Return a session of the tenant when nothing of its rate is used up."""
        return _fresh(self)[0]

    @property
    def unused_after(self) -> float:
        """The seconds after which nothing of the rate is used up."""
        shared = self.relay.shared
        # Another case may have used a rate that is not a tenant's; another process, or an earlier run, any rate.
        if not self.account or shared.uninformed:
            return self.pause
        used = shared.rates_used.get(self.account)
        return max(0.0, self.pause - (shared.age if used is None else shared.clock.monotonic() - used))

    def answers(self, session: ProbeSession, count: int) -> tuple[Message, ...]:
        """Return the answers to `count` requests. The time-out is shorter if some had no answer before."""
        answers = session.answers(count, self.relay.tempo.timeout(_TOGETHER))
        if len(answers) < count and not session.ended:
            self.relay.tempo.waited_for_nothing(_TOGETHER)
        return answers

    def check_legible(self, request: Message, answers: Iterable[Message]) -> None:
        """Check that answers can be judged; the invariants blame the requirements that they break otherwise."""
        for answer in answers:
            if not judge.is_success(answer):
                self.relay.log.observe(Exchange(request, (answer,)))
            judge.legible(answer)

    def burst(self, session: ProbeSession) -> None:
        """Check that none of few heartbeats at once is refused for the rate."""
        if not self.few:
            return
        first = self.send(session, self.few, "heartbeat")
        answers = self.answers(session, self.few)
        if refused := _refused(answers):
            self.unless_exceeded_before()
            seen = f"rate_limit_exceeded to heartbeat {answers.index(refused[0]) + 1} of {self.few} at once"
            raise Broken(f"{self.few} requests at once within the declared burst", seen, Exchange(first, answers))
        self.check_legible(first, answers)

    def affects(self, flooding: ProbeSession, other: ProbeSession) -> bool:
        """Whether, in any of three rounds, a session with few requests is refused while another exceeds the rate."""
        few = max(3, min(int(self.rate.burst) // 4, 10))
        for _ in range(3):
            flooding = self.exceeded(flooding)
            self.send(other, few)
            if _refused(self.answers(other, few)):
                return True
            if other.ended:
                raise Inconclusive("the relay closed a connection that was below the rate")
            if flooding.ended:
                break
        return False

    def exceeded(self, session: ProbeSession) -> ProbeSession:
        """Exceed the rate and return the session that was refused. A control."""
        with self.relay.control("rate_limit_exceeded above the rate"):
            return self.exceed(session)

    def exceed(
        self, session: ProbeSession, kinds: Sequence[str] = (), *, before: Sequence[_Request] = (), most: int = 0
    ) -> ProbeSession:
        """Send requests of some kinds (none: all) in batches until one is refused; return its session.

        With `before`, each batch begins with these requests, and has as many others as the burst allows in any case.
        Raises Broken if none of each kind is refused before `most` (0: `too_many`) are answered.
        """
        relay, rate = self.relay, self.rate
        relay.pace.needs(rate.per_second * _MARGIN)
        self.uses(exceeded=True)
        # A slow relay gets larger batches; otherwise the suite would never exceed the rate.
        batch = min(max(_BATCH, int(_MARGIN * rate.per_second * relay.facts.latency.fastest)), self.too_many)
        batch = self.few if before else batch
        together = batch + len(before)
        seen: list[str] = []
        for kind in kinds or self.kinds():
            found: list[Message] = []
            began = time.monotonic()
            while len(found) < (most or self.too_many):
                first = self.send(session, batch, kind, before)
                answers = self.answers(session, together)
                found += answers
                if refused := _refused(answers):
                    self.refused_at.append(len(found))
                    relay.log.observe(Exchange(first, tuple(refused[:1])))
                    relay.shared.rated_kind = kind
                    return session
                self.check_legible(first, answers)
                if session.ended:
                    return self._exceed_one_by_one(f"the connection ended after {len(found)} answers")
                if len(answers) < together:
                    if not relay.alive():
                        raise Inconclusive("the relay stopped answering")
                    return self._exceed_one_by_one(f"silence after {len(found)} answers")
                self.well_above(most or self.too_many, began)  # even if all others were answered at once
            speed = self.well_above(len(found), began)
            first_ones = ", ".join(str(request["type"]) for request in before)
            what = f"requests ({first_ones} before every {batch} {kind}s)" if before else f"{kind}s"
            seen.append(f"{_counted(found)} to {len(found)} {what} at {speed:.0f}/s")
        wanted = f"rate_limit_exceeded well above {rate.per_second:g}/s with a burst of {rate.burst}"
        raise Broken(wanted, "; ".join(seen))

    def _exceed_one_by_one(self, before: str) -> ProbeSession:
        """Exceed the rate on a new connection, awaiting each answer. Raises Broken if none is refused.

        An error may be lost if the relay ends the connection after it while input is unread. A relay that gives one
        answer to requests which arrive together (see CB-MSG-010) may still limit the rate. `before` describes the first
        attempt.
        """
        self.relay.clock.sleep(self.pause)
        session = _unpaced(self.relay.authenticated(self.tenant))
        began = time.monotonic()
        for _ in range(self.too_many):
            exchange = session.heartbeat()
            if judge.error_code(exchange) == _CODE:
                return session
            if not judge.served(exchange):
                raise Broken(_CODE, f"{before}, without the code", exchange)
        self.well_above(self.too_many, began)
        raise Broken(_CODE, f"{before}, without the code; one by one, none was refused")

    def undelayed(self, began: float, seconds: float) -> None:
        """Raise NeedsAlone if more time has passed since `began`, for which other cases may be the reason."""
        if self.relay.room.shared and time.monotonic() - began > seconds > 0:
            raise NeedsAlone("requests in quick succession")

    def well_above(self, sent: int, began: float) -> float:
        """Return the requests per second since `began`. Raises NotExercised if they were not well above the rate.

        Next to other cases, they may be the reason if the relay answers fast: the case begins again alone.
        """
        speed, declared = sent / (time.monotonic() - began), self.rate.per_second
        if speed < declared * 1.5:
            if self.relay.room.shared and self.relay.facts.latency.fastest < _FAST:
                raise NeedsAlone(f"requests well above {declared:g}/s")
            raise NotExercised(f"the relay answers {speed:.0f} requests/s, which is not well above {declared:g}/s")
        return speed
