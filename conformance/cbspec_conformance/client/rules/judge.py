"""The rules for situations: pure functions from what was observed to findings, one for each kind of situation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.observed import Observation
from cbspec_conformance.client.rules.always import judge_always
from cbspec_conformance.client.rules.broken import judge_broken, judge_silent
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.clean import judge_clean
from cbspec_conformance.client.rules.handshake import judge_untrusted, judge_upgrade
from cbspec_conformance.client.rules.lost import judge_down, judge_loss, judge_retried
from cbspec_conformance.client.rules.refused import judge_refused
from cbspec_conformance.client.rules.style import judge_observed, judge_tolerated
from cbspec_conformance.client.situations import Kind, Situation
from cbspec_conformance.judging.verdicts import Finding


def judge(
    situation: Situation,
    seen: Observation,
    habits: Habits,
    profile: ClientProfile,
    *,
    transport: str,
    token: str,
    quick: bool,
) -> list[Finding]:
    """Return the findings of a situation. A pure function: the same record gives the same findings."""
    case = SituationCase(situation, profile, habits, seen, transport)
    if situation.kind is Kind.CLEAN and not habits.fault:
        judge_clean(case)
    elif habits.fault and situation.kind is not Kind.CLEAN:
        case.unclear(situation.requirement, f"the clean session doesn't work: {habits.fault}")
        return case.findings
    judge_always(case, token)
    if situation.kind is Kind.CLEAN and habits.fault:
        _unusable(case)
    elif not habits.fault and (rule := _RULES.get(situation.kind)) is not None:
        rule(case, quick)
    return case.findings


def _unusable(case: SituationCase) -> None:
    """Judge a clean session that doesn't work: only TLS itself can be the client's mistake here."""
    if case.has_broken("CC-TLS-003"):
        return
    failures = [each.handshake.failure for each in case.seen.connections if each.handshake.failure]
    if failures and all("unsupported protocol" in failure for failure in failures):
        case.broken("CC-TLS-001", "a TLS 1.3 handshake", failures[0])
    else:
        case.unclear("CC-TLS-001", f"the clean session doesn't work: {case.habits.fault}")


def why_not(situation: Situation, habits: Habits, profile: ClientProfile, *, quick: bool) -> str:
    """Return why a situation can't concern a client, or ""."""
    if habits.fault:
        return ""
    if situation.step == "tunnel_info" and not habits.tunnels:
        return "the client opens no tunnels"
    if situation.step == "heartbeat":
        interval = habits.interval or profile.heartbeat_interval
        if not habits.beats and profile.heartbeat_interval is None:
            return "no heartbeat in the clean session: give heartbeat_interval in the client profile"
        longest = 4.0 if quick else 12.0
        if interval is not None and interval > longest:
            return f"heartbeats every {interval:g} s: let the client send one at least every {longest:g} s"
    if situation.drop and not habits.stays:
        return "the client doesn't stay up"
    if situation.name == "answers-merged" and not habits.pipelined:
        return "the client waits for each answer"
    return ""


_RULES: Final[Mapping[Kind, Callable[[SituationCase, bool], None]]] = {
    Kind.DOWN: judge_down,
    Kind.TOLERATED: judge_tolerated,
    Kind.OBSERVED: judge_observed,
    Kind.REFUSED: judge_refused,
    Kind.BROKEN: judge_broken,
    Kind.SILENT: judge_silent,
    Kind.LOST: judge_loss,
    Kind.DROPPED: judge_loss,
    Kind.RETRIED: judge_retried,
    Kind.UNTRUSTED: judge_untrusted,
    Kind.UPGRADE: judge_upgrade,
}
