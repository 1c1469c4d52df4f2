"""Rules for answers that are broken, or that don't come."""

from __future__ import annotations

from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.common import (
    is_too_quick,
    judge_exit_code,
    judge_hanging,
    judge_no_reaction_to_heartbeats,
    struck,
)
from cbspec_conformance.client.rules.reaction import Reaction


def judge_broken(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to an answer that isn't one."""
    seen = struck(case)
    if seen is None:
        return
    situation = case.situation
    if seen.went_on:
        case.broken(situation.requirement, f"no success although {situation.about}", seen.went_on)
        return
    if situation.step == "heartbeat" and not seen.acted:
        unanswered = len(case.seen.strikes)
        if unanswered < case.profile.heartbeat_failures:
            case.skipped(situation.requirement, f"only {unanswered} heartbeats were sent in the time")
            return
        judge_no_reaction_to_heartbeats(case, seen, quick)
        return
    case.passed(situation.requirement)
    judge_hanging(case, seen, "CC-BRK-012", f"a reaction although {situation.about}", quick)
    if not case.has_broken():
        judge_exit_code(case, seen)


def judge_silent(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to an answer that doesn't come, or to half a handshake."""
    situation = case.situation
    if situation.requirement == "CC-SIL-001":
        _silent_handshake(case, quick)
        return
    seen = struck(case)
    if seen is None:
        return
    if seen.went_on and situation.step != "heartbeat":
        case.broken(situation.requirement, f"no success although {situation.about}", seen.went_on)
        return
    if situation.step == "heartbeat":
        _unanswered_heartbeats(case, seen, quick)
        return
    if seen.gave_up or (seen.said and situation.step == "tunnel_info"):
        case.passed(situation.requirement)
        judge_exit_code(case, seen)
    else:
        _waits(case, seen.struck, quick)


def _silent_handshake(case: SituationCase, quick: bool) -> None:
    if not case.seen.connections:
        case.unclear("CC-SIL-001", "it never connected")
        return
    began = case.seen.connections[0]
    given_up = began.ended is not None and began.by == "client"
    if given_up or case.seen.ended_itself is not None or len(case.seen.connections) > 1:
        case.passed("CC-SIL-001")
    else:
        _waits(case, began.at, quick)


def _waits(case: SituationCase, since: float, quick: bool) -> None:
    """Judge a client that still waits for an answer that doesn't come."""
    requirement, waited = case.situation.requirement, case.seen.watched - since
    if is_too_quick(case, requirement, quick):
        return
    declared = case.profile.answer_timeout
    within = f"{declared:g} s" if declared is not None else f"{waited:.0f} s"
    case.broken(requirement, f"an end of the wait within {within}", f"still waiting after {waited:.0f} s")


def _unanswered_heartbeats(case: SituationCase, seen: Reaction, quick: bool) -> None:
    if not seen.acted:
        judge_no_reaction_to_heartbeats(case, seen, quick)
        return
    case.passed("CC-BRK-010")
    _old_connection(case, seen)
    judge_exit_code(case, seen)


def _old_connection(case: SituationCase, seen: Reaction) -> None:
    """Judge whether a client that has reconnected has closed its old connection."""
    if seen.again is None:
        return
    first = case.seen.connections[0]
    left = first.ended is None or first.ended > seen.again + 2.0
    if left and case.seen.watched > seen.again + 1.0:
        case.broken("CC-REC-004", "the old connection closed when the new one opens", "both are open")
    elif not left:
        case.passed("CC-REC-004")
