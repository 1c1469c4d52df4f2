"""Ways to be wrong about rates, addresses, unavailability and failed transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cbspec.profile.target import Rate
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.state import State
from cbspec_simulator.base.limits import TokenBucket
from cbspec_simulator.base.state import Attempt, Refused
from cbspec_simulator.base.steps import Check, Dial, Errand, Step, allowed_address, available, within_rate
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.compose import (
    Change,
    answers,
    both,
    by_connection,
    by_subject,
    check,
    each_step,
    part,
    recoded,
    silence,
    without,
    wrong_code,
)
from cbspec_simulator.variations.deviations.auth import named_tenant
from cbspec_simulator.variations.deviations.kind import Deviation

_SHADOW = 1.0  # seconds for which one tenant's excess is laid to all


class _Ban:
    """A meter that never forgives."""

    def __init__(self, rate: Rate) -> None:
        self._bucket = TokenBucket(rate)
        self._banned = False

    def allow(self, now: float) -> bool:
        self._banned = self._banned or not self._bucket.allow(now)
        return not self._banned

    def rested(self, now: float) -> bool:
        return not self._banned and self._bucket.rested(now)


def _tenth(rate: Rate) -> TokenBucket:
    return TokenBucket(Rate(rate.per_second / 10, max(1, rate.burst // 10), rate.scope))


def _tenth_at_once(rate: Rate) -> TokenBucket:
    return TokenBucket(replace(rate, burst=max(1, rate.burst // 10)))


def _remembering(name: str, make: Callable[[], Check]) -> Change:
    """Make a check that keeps something in mind, anew for each behaviour."""

    def change(behaviour: Behaviour) -> Behaviour:
        remembering = make()
        return each_step(name, lambda step: (Step(step.name, remembering, step.when),))(behaviour)

    return change


def _rate_of_all() -> Check:
    until = float("-inf")

    def within(attempt: Attempt) -> None:
        nonlocal until
        now = attempt.now.monotonic
        try:
            within_rate(attempt)
        except Refused:
            until = now + _SHADOW
            raise
        if now < until:
            raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, "requests come too fast")

    return within


def _list_of_the_one_before() -> Check:
    grudge = False

    def allowed(attempt: Attempt) -> None:
        nonlocal grudge
        if grudge:
            grudge = False
            raise Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not allowed")
        try:
            allowed_address(attempt)
        except Refused:
            grudge = True
            raise

    return allowed


def _no_list_is_kept(attempt: Attempt) -> None:
    if attempt.known.tenant.allowed_addresses:
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not allowed")


def _failed_once() -> Check:
    failed = False

    def transferable(attempt: Attempt) -> Dial | None:
        nonlocal failed
        failed = failed or attempt.dialled is False
        if failed:
            raise Refused(ErrorCode.DATA_TRANSFER_FAILED, "data can't be transferred")
        return None

    return transferable


def _nothing_behind_a_dial(step: Step) -> tuple[Step, ...]:
    def dial(attempt: Attempt) -> Errand | None:
        wanted = step.check(attempt)
        while wanted is not None and attempt.connection.framer.next_frame() is not None:
            pass
        return wanted

    return (replace(step, check=dial),)


def _known_once() -> Check:
    told: set[tuple[int, str]] = set()

    def allowed(attempt: Attempt) -> None:
        key = id(attempt.relay), attempt.known.tenant.id
        try:
            allowed_address(attempt)
        except Refused:
            if key in told:
                return
            told.add(key)
            raise

    return allowed


def _every_list(attempt: Attempt) -> None:
    """Hold a tenant without a list to those of all others."""
    allowed_address(attempt)
    address, own = str(attempt.connection.address), attempt.known.tenant
    if not own.allowed_addresses and not all(tenant.allows(address) for tenant in attempt.relay.tenants.values()):
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not allowed")


def _as_text(attempt: Attempt) -> None:
    allowed = attempt.known.tenant.allowed_addresses
    if allowed and str(attempt.connection.address) not in allowed:
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not on the list")


def _last_entry(attempt: Attempt) -> None:
    own = attempt.known.tenant
    if not replace(own, allowed_addresses=own.allowed_addresses[-1:]).allows(str(attempt.connection.address)):
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the address is not on the list")


def _let_in(attempt: Attempt, refused: Refused) -> None:
    if refused.code is ErrorCode.IP_NOT_ALLOWED:
        attempt.connection.protocol.state = State.AUTHENTICATED


def _every_second() -> Check:
    def check(attempt: Attempt) -> None:
        if attempt.connection.number % 2:
            available(attempt)

    return check


def _for_good() -> Check:
    closed = False

    def check(attempt: Attempt) -> None:
        nonlocal closed
        closed = closed or attempt.relay.draining
        if closed:
            raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=True)

    return check


def _told_and_served(attempt: Attempt) -> None:
    """Say once to a connection that nothing is served, and serve it then."""
    if attempt.relay.draining and not attempt.connection.sent["error"]:
        raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work")  # and the connection stays open


RATE = (
    Deviation(
        "rate-per-connection",
        "CB-RAT-001",
        "A tenant's rate counts for each of its connections anew.",
        part(rate_holder=by_connection),
    ),
    Deviation(
        "rate-per-subject",
        "CB-RAT-001",
        "A tenant's rate counts for each of its subjects anew.",
        part(rate_holder=by_subject),
    ),
    Deviation(
        "rate-closes",
        "CB-RAT-001",
        "A request above the rate ends the connection without a word.",
        both(
            part(ends=lambda body, _: body.get("code") == ErrorCode.RATE_LIMIT_EXCEEDED),
            answers(f"error:{ErrorCode.RATE_LIMIT_EXCEEDED}", silence),
        ),
    ),
    Deviation("rate-ignored", "CB-RAT-001", "Requests may come as fast as they like.", without("rate")),
    Deviation(
        "rate-wrong-code",
        "CB-RAT-001",
        "A request above the rate is refused with server_unavailable.",
        recoded("rate", ErrorCode.SERVER_UNAVAILABLE),
    ),
    Deviation(
        "rate-silent",
        "CB-RAT-001",
        "A request above the rate stays unanswered.",
        answers(f"error:{ErrorCode.RATE_LIMIT_EXCEEDED}", silence),
    ),
    Deviation(
        "rate-early", "CB-RAT-002", "The rate is kept at a tenth of what it should be.", part(rate_limiter=_tenth)
    ),
    Deviation(
        "rate-burst-early",
        "CB-RAT-002",
        "At once only a tenth of the requests may come that should.",
        part(rate_limiter=_tenth_at_once),
    ),
    Deviation(
        "rate-never-forgives", "CB-RAT-003", "Whoever was above the rate once stays refused.", part(rate_limiter=_Ban)
    ),
    Deviation(
        "rate-shared",
        "CB-RAT-004",
        "For a second after one tenant was above its rate, every tenant is refused.",
        _remembering("rate", _rate_of_all),
    ),
    Deviation(
        "rate-counted-together",
        "CB-RAT-004",
        "All tenants that have a rate are counted as one.",
        part(rate_holder=lambda _: "tenants"),
    ),
)

ADDRESS = (
    Deviation(
        "address-list-as-text",
        "CB-ADR-001",
        "An address must stand on its tenant's list as it is; networks are not understood.",
        check("allowed-address", _as_text),
    ),
    Deviation(
        "address-list-last-entry",
        "CB-ADR-001",
        "Only the last entry of a tenant's list counts.",
        check("allowed-address", _last_entry),
    ),
    Deviation(
        "address-list-once",
        "CB-ADR-002",
        "Only the first client of a tenant from an address that isn't on its list is refused.",
        _remembering("allowed-address", _known_once),
    ),
    Deviation(
        "address-refused-but-served",
        "CB-ADR-002",
        "After ip_not_allowed the connection may open tunnels all the same.",
        part(refused=_let_in, stranger=named_tenant),
    ),
    Deviation(
        "address-list-of-all",
        "CB-ADR-003",
        "A tenant without a list is held to the lists of all others.",
        check("allowed-address", _every_list),
    ),
    Deviation(
        "address-list-refuses-all",
        "CB-ADR-001",
        "A tenant with an address list is served from nowhere.",
        check("allowed-address", _no_list_is_kept),
    ),
    Deviation("address-list-ignored", "CB-ADR-002", "Address lists are not looked at.", without("allowed-address")),
    Deviation(
        "address-wrong-code",
        "CB-ADR-002",
        "An address that isn't on the list is refused with tenant_not_found.",
        recoded("allowed-address", ErrorCode.TENANT_NOT_FOUND),
    ),
    Deviation(
        "address-list-of-another",
        "CB-ADR-003",
        "After a refusal by one tenant's address list the next client is refused, whoever it is.",
        _remembering("allowed-address", _list_of_the_one_before),
    ),
)

UNAVAILABLE = (
    Deviation(
        "unavailable-serves-every-second",
        "CB-UNA-001",
        "A draining relay serves every second connection.",
        _remembering("available", _every_second),
    ),
    Deviation(
        "unavailable-told-and-served",
        "CB-UNA-001",
        "A draining relay tells each connection so once, and serves it then.",
        check("available", _told_and_served),
    ),
    Deviation("unavailable-serves", "CB-UNA-001", "A draining relay serves all the same.", without("available")),
    Deviation(
        "unavailable-wrong-code",
        "CB-UNA-002",
        "A draining relay refuses with connection_limit_reached.",
        wrong_code("server_unavailable", "connection_limit_reached"),
    ),
    Deviation(
        "unavailable-silent",
        "CB-UNA-003",
        "A draining relay closes without a word.",
        answers(f"error:{ErrorCode.SERVER_UNAVAILABLE}", silence),
    ),
    Deviation(
        "unavailable-for-good",
        "CB-UNA-004",
        "A relay that drained once never takes work again.",
        _remembering("available", _for_good),
    ),
)

TRANSFER = (
    Deviation(
        "transfer-failure-ignored",
        "CB-TRF-001",
        "A tunnel is opened although its remote end can't be reached.",
        without("transferable"),
    ),
    Deviation(
        "transfer-wrong-code",
        "CB-TRF-001",
        "A tunnel whose remote end can't be reached is refused with invalid_tunnel_info.",
        recoded("transferable", ErrorCode.INVALID_TUNNEL_INFO),
    ),
    Deviation(
        "transfer-failure-stays",
        "CB-TRF-002",
        "After one remote end couldn't be reached no tunnel is opened any more.",
        _remembering("transferable", _failed_once),
    ),
    Deviation(
        "input-pipelined-behind-dialled-lost",
        "CB-MSG-010",
        "What arrives together with a tunnel_info is dropped while its remote end is tried.",
        each_step("dial", _nothing_behind_a_dial),
    ),
)

DEVIATIONS = (*RATE, *ADDRESS, *UNAVAILABLE, *TRANSFER)
