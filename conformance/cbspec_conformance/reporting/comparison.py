"""What differs between two runs against the same implementation, for example against two releases: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cbspec.catalogue.requirements import Level
from cbspec_conformance.judging.verdicts import Outcome, Verdict
from cbspec_conformance.reporting.fingerprint import compare, fingerprint_of
from cbspec_conformance.reporting.report import distinct
from cbspec_conformance.reporting.stream import RecordedRun

_BROKEN = (Outcome.FAILED, Outcome.WARNED, Outcome.KNOWN)
_JUDGED = (*_BROKEN, Outcome.PASSED)


class ChangeKind(StrEnum):
    """The kinds of differences, the most urgent first."""

    NEW = "new"
    STILL = "still failing"
    FIXED = "fixed"
    BEHAVIOUR = "changed behaviour"
    LOST = "no longer judged"
    GAINED = "judged now"


@dataclass(frozen=True, slots=True)
class RunChange:
    """A difference. `what` is a requirement id or a fact of the relay, `demand` the requirement's text."""

    kind: ChangeKind
    what: str
    demand: str
    before: str
    after: str


def changes(before: RecordedRun, after: RecordedRun) -> dict[ChangeKind, list[RunChange]]:
    """Return the differences by kind, in the order of the catalogue; a kind without differences is absent."""
    old = {verdict.requirement.id: verdict for verdict in before.verdicts}
    found = [change for verdict in after.verdicts if (change := _change(old, verdict))]
    observed = {id_ for id_, row in {**before.requirements, **after.requirements}.items() if row.level is Level.INFO}
    facts = compare(fingerprint_of(before.result), fingerprint_of(after.result))
    found += [
        RunChange(ChangeKind.BEHAVIOUR, each.what, each.demand, each.before, each.after)
        for each in facts
        if each.what in observed or not each.demand
    ]
    order = list({**after.requirements, **before.requirements})
    found.sort(key=lambda change: order.index(change.what) if change.what in order else -1)
    by_kind = {kind: [change for change in found if change.kind is kind] for kind in ChangeKind}
    return {kind: listed for kind, listed in by_kind.items() if listed}


def described(verdict: Verdict | None) -> str:
    """Return the outcome of a verdict with what was seen, if a demand is broken."""
    if verdict is None:
        return "not in the catalogue"
    if verdict.outcome is None:
        return "not selected"
    seen = next((way.seen for way in distinct(verdict) if way.seen), "") if verdict.outcome in _BROKEN else ""
    seen = seen.partition(" (broken, too: ")[0]
    return f"{verdict.outcome}: {seen}" if seen else str(verdict.outcome)


def _change(old: Mapping[str, Verdict], verdict: Verdict) -> RunChange | None:
    """Return the difference in the verdict on a demand; observations are compared by their fingerprints."""
    row = verdict.requirement
    if row.level is Level.INFO:
        return None
    before = old.get(row.id)
    kind = _kind(before.outcome if before else None, verdict.outcome)
    return RunChange(kind, row.id, row.demand, described(before), described(verdict)) if kind else None


def _kind(before: Outcome | None, after: Outcome | None) -> ChangeKind | None:
    if after in _BROKEN:
        return ChangeKind.STILL if before in _BROKEN else ChangeKind.NEW
    if before in _BROKEN and after is Outcome.PASSED:
        return ChangeKind.FIXED
    if before in _JUDGED and after not in _JUDGED:
        return ChangeKind.LOST
    return ChangeKind.GAINED if before not in _JUDGED and after in _JUDGED else None
