"""Rules for an error, or the status "error", in answer to a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.common import judge_exit_code, judge_hanging, struck
from cbspec_conformance.client.rules.reaction import Reaction
from cbspec_conformance.client.rules.retries import judge_retries

NEVER_AGAIN: Final[Mapping[str, str]] = {
    "invalid_token": "CC-RTY-003",
    "tenant_not_found": "CC-RTY-004",
    "ip_not_allowed": "CC-RTY-005",
    "invalid_tunnel_info": "CC-RTY-006",
    "unknown_message_type": "CC-RTY-007",
}
"""The codes that say that the same request is refused again."""


def judge_refused(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to an error, or to the status "error", in answer to a step."""
    seen = struck(case)
    if seen is None:
        return
    situation = case.situation
    what = f"the error {situation.code}" if situation.code else 'the status "error"'
    if seen.went_on:
        case.broken(situation.requirement, f"no success after {what} in answer to {situation.step}", seen.went_on)
        return
    case.passed(situation.requirement)
    judge_hanging(case, seen, "CC-REF-005", f"a reaction to {what} in answer to {situation.step}", quick)
    if case.has_broken():
        return
    judge_exit_code(case, seen)
    if situation.code and situation.step != "heartbeat":
        _shown(case, seen)
        _never_again(case, seen)
    if situation.code:
        again = f"{len(seen.attempts)} attempts" if len(seen.attempts) > 1 else "not tried again"
        case.saw("CC-RTY-101", f"{situation.code} in answer to {situation.step}", again)
    if situation.step == "tunnel_info":
        stays = "ends" if seen.end is not None else "stays up"
        case.saw("CC-REF-101", situation.code or "status error", stays)
    if len(seen.attempts) > 2:
        judge_retries(case, seen.attempts, ended=seen.end is not None)


def _never_again(case: SituationCase, seen: Reaction) -> None:
    requirement = NEVER_AGAIN.get(case.situation.code)
    if requirement is None:
        return
    if len(seen.attempts) > 1:
        after = seen.attempts[1] - seen.attempts[0]
        case.broken(
            requirement,
            f"no second attempt after {case.situation.code}",
            f"another {case.situation.step} {after:.1f} s later",
        )
    else:
        case.passed(requirement)


def _shown(case: SituationCase, seen: Reaction) -> None:
    if any(case.situation.code in line for line in case.seen.lines()):
        case.passed("CC-ERR-001")
    elif seen.end is not None:
        printed = " | ".join(seen.said[-2:])
        case.broken(
            "CC-ERR-001", f"the code {case.situation.code} in the output", f"{printed!r:.80}" if printed else "nothing"
        )
