"""Parts of the rules that several kinds of situations share."""

from __future__ import annotations

from typing import Final

from cbspec_conformance.client.observed import Exit
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.reaction import Reaction, reaction

_TOO_QUICK: Final = "a quick run doesn't wait long enough: give answer_timeout in the client profile"


def struck(case: SituationCase) -> Reaction | None:
    """Return the reaction; a situation that never came about is inconclusive."""
    found = reaction(case)
    if found is None:
        reached = "it never came that far" if case.seen.connections else "it never connected"
        case.unclear(case.situation.requirement, f"the situation never struck: {reached}")
    return found


def is_too_quick(case: SituationCase, requirement: str, quick: bool) -> bool:
    """Whether a quick run doesn't wait for the client, whose time-out isn't known; then the requirement is skipped."""
    if quick and case.profile.answer_timeout is None:
        case.skipped(requirement, _TOO_QUICK)
        return True
    return False


def judge_hanging(case: SituationCase, seen: Reaction, requirement: str, expected: str, quick: bool) -> None:
    """Judge whether the client still waits for another answer."""
    stays_without = case.situation.step == "tunnel_info" and case.habits.stays
    if seen.gave_up or (seen.said and case.situation.step in ("tunnel_info", "heartbeat")):
        case.passed(requirement)
    elif stays_without or case.situation.step == "heartbeat":
        return  # a client may stay up without a tunnel; unanswered heartbeats have a rule of their own
    elif not is_too_quick(case, requirement, quick):
        waited = case.seen.watched - seen.struck
        case.broken(requirement, expected, f"still connected after {waited:.0f} s: no end, no close, no attempt")


def judge_exit_code(case: SituationCase, seen: Reaction) -> None:
    """Judge the exit code of a client that has ended after a failure."""
    blame_exit_code(case, seen.end)
    if seen.end is not None and seen.end.code:
        case.passed("CC-ERR-002")


def blame_exit_code(case: SituationCase, end: Exit | None) -> None:
    """Record that a client has ended after a failure as if after a success, if it has."""
    if end is not None and end.code == 0:
        case.broken("CC-ERR-002", "an exit code other than 0 after a failure", "exit code 0")


def judge_no_reaction_to_heartbeats(case: SituationCase, seen: Reaction, quick: bool) -> None:
    """Judge a client that has done nothing about the answers to its heartbeats, or their absence."""
    requirement, count = case.situation.requirement, len(case.seen.strikes)
    if is_too_quick(case, requirement, quick):
        return
    waited = case.seen.watched - seen.struck
    shown = f"no reaction to {count} heartbeats in {waited:.0f} s"
    case.broken(requirement, f"an end, a new connection or a message although {case.situation.about}", shown)
