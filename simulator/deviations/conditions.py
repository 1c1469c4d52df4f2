"""Ways to be wrong about rates, addresses, unavailability and failed transfers."""

from __future__ import annotations

from collections.abc import Callable

from cbspec.codes import ErrorCode
from cbspec.target import Rate
from simulator.behaviour import Behaviour
from simulator.compose import Change, answers, check, each_step, part, recoded, silence, without, wrong_code
from simulator.deviations.kind import Deviation
from simulator.limits import TokenBucket
from simulator.steps import Attempt, Check, Dial, Refused, Step, allowed_address, within_rate

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


RATE = (
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
    Deviation("rate-early", "CB-RAT-002", "The rate is kept at a tenth of what it should be.", part(meter=_tenth)),
    Deviation("rate-never-forgives", "CB-RAT-003", "Whoever was above the rate once stays refused.", part(meter=_Ban)),
    Deviation(
        "rate-shared",
        "CB-RAT-004",
        "For a second after one tenant was above its rate, every tenant is refused.",
        _remembering("rate", _rate_of_all),
    ),
)

ADDRESS = (
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
)

DEVIATIONS = (*RATE, *ADDRESS, *UNAVAILABLE, *TRANSFER)
