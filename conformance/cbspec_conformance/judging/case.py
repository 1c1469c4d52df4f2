"""From the records of a case to its findings: pure functions.

A run computes its findings with them, and `cbspec judge` computes them again from a saved transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cbspec.catalogue.requirements import Level, find
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.judging.follow_ups import accepted_in_spite_of, of_a_mistake, of_the_same_exchange
from cbspec_conformance.judging.invariants import check
from cbspec_conformance.judging.verdicts import OWN_REQUIREMENT, TIME_UP, Finding, Outcome
from cbspec_conformance.record.conclusions import (
    Blamed,
    Breach,
    CaseEnded,
    Concluded,
    Ending,
    Expectation,
    ExpectationKind,
    Judged,
    Observed,
    TriedAgain,
)
from cbspec_conformance.record.excerpt import decisive_places
from cbspec_conformance.record.exchange import Exchange, exchanges
from cbspec_conformance.record.render import change_of, render
from cbspec_conformance.record.transcript import Record, Transcript

CHANGED = "this version of the kit judges an exchange of the case differently: run the suite again"
"""The reason if a saved transcript doesn't show how the case would have gone on."""


def broken(
    breach: Breach,
    case: str,
    *,
    exchanges: Sequence[int] = (),
    kinds: tuple[str, ...] = (),
    **shown: Any,  # noqa: ANN401 - members of a finding
) -> Finding:
    """Return the finding for a breach, by the level of its requirement. `shown`: see `Finding`."""
    outcome = Outcome.FAILED if find(breach.requirement).level is Level.MUST else Outcome.WARNED
    return Finding(
        breach.requirement,
        outcome,
        case,
        expected=breach.expected,
        seen=breach.seen,
        number=exchanges[-1] if exchanges else -1,
        kinds=kinds,
        **shown,
    )


def blamed(record: Blamed, case: str, *, mistake: str = "", own: str = "", **shown: Any) -> Finding:  # noqa: ANN401 - as above
    """Return the finding for a breach that was seen along the way; see `of_a_mistake`. `shown`: see `broken`."""
    case = record.case or case
    if not record.certain:
        return Finding(record.breach.requirement, Outcome.INCONCLUSIVE, case, record.reason)
    return of_a_mistake(broken(record.breach, case, exchanges=record.exchanges, kinds=(), **shown), mistake, own)


def own_finding(
    requirement: str,
    case: str,
    ended: CaseEnded,
    observed: Mapping[str, str],
    why_not: Callable[[str], str],
    **shown: Any,  # noqa: ANN401 - as above
) -> Finding | None:
    """Return the case's own finding, or None after an error of the kit.

    `observed` is the relay's behaviour by situation; `why_not` says why the relay never serves a type of request;
    `shown`: see `broken`.
    """
    match ended.ending:
        case Ending.PASSED if find(requirement).level is Level.INFO:
            return next(iter(_observed(requirement, case, observed)), None)
        case Ending.PASSED:
            return Finding(requirement, Outcome.PASSED, case, ended.text)
        case Ending.BROKEN if ended.breach is not None:
            breach = ended.breach
            if find(breach.requirement).level is Level.INFO:
                reason = f"expected {breach.expected}; seen: {breach.seen}"
                return Finding(requirement, Outcome.INCONCLUSIVE, case, reason)
            never = why_not(ended.unserved)
            if never and breach.requirement != OWN_REQUIREMENT[ended.unserved]:
                reason = f"{ended.unserved} is never served on this relay: {never}"
                return Finding(requirement, Outcome.INCONCLUSIVE, case, reason)
            return broken(breach, case, exchanges=ended.exchanges, kinds=ended.kinds, **shown)
        case Ending.TIME_UP:
            return Finding(requirement, Outcome.NOT_EXERCISED, case, TIME_UP)
        case Ending.NOT_EXERCISED:
            return Finding(requirement, Outcome.NOT_EXERCISED, case, ended.text)
        case Ending.INCONCLUSIVE:
            return Finding(requirement, Outcome.INCONCLUSIVE, case, ended.text)
    return None


def all_findings(
    requirement: str, case: str, own: Finding | None, others: Sequence[Finding], observed: Mapping[str, str]
) -> list[Finding]:
    """Return every finding of a case; its own requirement always has one."""
    findings = [*([own] if own else []), *of_the_same_exchange(own, others)]
    findings += [finding for finding in _observed(requirement, case, observed) if finding != own]
    if own is None or own.requirement != requirement:
        reason = f"a breach of {own.requirement}" if own else "an error of the kit"
        findings.append(Finding(requirement, Outcome.INCONCLUSIVE, case, f"{reason} ended its case"))
    return findings


def rejudge(requirement: str, case: str, transcript: Transcript, why_not: Callable[[str], str]) -> list[Finding]:
    """Return the findings of a case, computed from its transcript. A `requirement` of "" is the preflight."""
    made = exchanges(transcript)

    def shown(numbers: Sequence[int]) -> dict[str, Any]:
        of = [made[number] for number in numbers]
        return {
            "exchange": render(transcript, of),
            "decisive": decisive_places(transcript, of),
            "change": change_of(transcript, of),
        }

    others = []
    for record in _blamed(transcript, made):
        mistake = accepted_in_spite_of(made[record.exchanges[-1]]) if record.exchanges else ""
        others.append(blamed(record, case, mistake=mistake, own=requirement, **shown(record.exchanges)))
    if not requirement:
        return others
    observed = {record.of: record.value for record in _last_try(transcript) if isinstance(record, Observed)}
    ended = next((r for r in reversed(transcript.records) if isinstance(r, CaseEnded)), None)
    if ended is None:
        return others
    now = _ended_now(requirement, ended, transcript, made)
    own = own_finding(requirement, case, now, observed, why_not, **shown(now.exchanges))
    return all_findings(requirement, case, own, others, observed)


def _last_try(transcript: Transcript) -> Sequence[Record]:
    """Return the records since a case was last tried again, or all."""
    records = transcript.records
    again = (number for number in range(len(records), 0, -1) if isinstance(records[number - 1], TriedAgain))
    return records[next(again, 0) :]


def _observed(requirement: str, case: str, observed: Mapping[str, str]) -> list[Finding]:
    return [
        Finding(requirement, Outcome.OBSERVED, case, seen=value, aspect=aspect) for aspect, value in observed.items()
    ]


def _blamed(transcript: Transcript, made: Mapping[int, Exchange]) -> list[Blamed]:
    """Return the breaches seen along the way, each once."""
    found: list[Blamed] = []
    known: set[tuple[str, str]] = set()
    for number, record in enumerate(transcript.records):
        new: list[Blamed] = []
        if isinstance(record, TriedAgain):
            found, known = [], set()
        if isinstance(record, Concluded) and record.held:
            new = [Blamed(0.0, 0, breach, (number,)) for breach in _violations(record, made[number])]
        elif isinstance(record, Blamed) and record.claimed:
            claimed = next((each for each in found if each.breach.requirement == record.breach.requirement), None)
            found = [each for each in found if each is not claimed]
        elif isinstance(record, Blamed) and (
            record.expectation is None or _result(record.expectation, made, record.exchanges)[0] is Ending.BROKEN
        ):
            new = [record]
        for each in new:
            if not each.certain or (each.breach.requirement, each.breach.seen) not in known:
                known.add((each.breach.requirement, each.breach.seen))
                found.append(each)
    return found


def _violations(record: Concluded, exchange: Exchange) -> Sequence[Breach]:
    """Return the violations of invariants; those found during the run if a text has been cut since."""
    messages = (exchange.request, *exchange.answers)
    if any(message is not None and message.cut for message in messages):
        return record.breaches
    return check(exchange)


def _result(
    expectation: Expectation, made: Mapping[int, Exchange], numbers: Sequence[int]
) -> tuple[Ending, Broken | None]:
    """Compare the last of some exchanges with an expectation again."""
    if expectation.kind is ExpectationKind.INVARIANT:
        return Ending.BROKEN, None  # `_blamed` checks the invariants
    try:
        judge.hold(expectation, made[numbers[-1]])
    except Broken as error:
        return Ending.BROKEN, error
    except Inconclusive:
        return Ending.INCONCLUSIVE, None
    return Ending.PASSED, None


def _ended_now(requirement: str, ended: CaseEnded, transcript: Transcript, made: Mapping[int, Exchange]) -> CaseEnded:
    """Return the end of a case as this version of the kit judges it."""
    for record in _last_try(transcript):
        if isinstance(record, Judged):
            result, error = _result(record.expectation, made, (record.exchange,))
            if result is record.result:
                continue
            if ended.ending is Ending.PASSED and error is not None:
                breach = Breach(error.requirement or requirement, error.expected, error.seen)
                return CaseEnded(ended.at, 0, Ending.BROKEN, breach=breach, unserved=error.unserved)
            return CaseEnded(ended.at, 0, Ending.INCONCLUSIVE, CHANGED)
    if ended.expectation is None or not ended.exchanges:
        return ended
    result, _ = _result(ended.expectation, made, ended.exchanges)
    return ended if result is Ending.BROKEN else CaseEnded(ended.at, 0, Ending.INCONCLUSIVE, CHANGED)
