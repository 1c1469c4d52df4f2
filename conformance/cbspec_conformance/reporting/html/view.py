"""A run as the page shows it: the verdicts in words, grouped and sorted. Pure functions of the recorded run."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol, TypeVar

from cbspec.catalogue.requirements import CHAPTERS, Requirement
from cbspec_conformance.judging.verdicts import BROKEN, Finding, Outcome, Verdict
from cbspec_conformance.reporting.comparison import ChangeKind, RunChange, changes
from cbspec_conformance.reporting.html.trace import judgements
from cbspec_conformance.reporting.report import distinct
from cbspec_conformance.reporting.stream import RecordedCase, RecordedRun

_MOST_WAYS: Final = 4  # different ways to break a requirement that are shown
_MOST_ANSWERS: Final = 8  # requests with their answers


class _OfRequirement(Protocol):
    @property
    def requirement(self) -> Requirement: ...


_Observation = TypeVar("_Observation", bound=_OfRequirement)


@dataclass(frozen=True, slots=True)
class Mark:
    """How an outcome is shown: `name` is its class and its symbol's, `word` its text."""

    name: str
    word: str


MARKS: Final = {outcome: Mark(outcome.value.replace(" ", "-"), outcome.value) for outcome in Outcome}
NOT_SELECTED: Final = Mark("not-selected", "not selected")
NOT_TESTABLE: Final = Mark("not-testable", "not testable")


def mark_of(verdict: Verdict) -> Mark:
    """Return the mark of a verdict."""
    if verdict.outcome is not None:
        return MARKS[verdict.outcome]
    return NOT_TESTABLE if verdict.requirement.untestable else NOT_SELECTED


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case in the list of a requirement; `number` finds its exchange in the page's data."""

    number: int
    title: str
    mark: Mark
    seconds: float
    at: str


@dataclass(frozen=True, slots=True)
class Method:
    """A way to try a requirement: what the cases do, in words, and the cases."""

    about: str
    cases: tuple[ShownCase, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was expected and seen after a request, and how often."""

    request: str
    expected: str
    seen: str
    broken: bool
    times: int


@dataclass(frozen=True, slots=True)
class Way:
    """A way in which a requirement was broken.

    `too` names the other mistakes with the same effect. `number` is the case's, `decisive` are places in
    its transcript.
    """

    finding: Finding
    seen: str
    too: str
    number: int
    decisive: str


@dataclass(frozen=True, slots=True)
class ShownRequirement:
    """A requirement with its verdict; `more` is the number of ways to break it that are not shown."""

    row: Requirement
    verdict: Verdict
    mark: Mark
    ways: tuple[Way, ...]
    more: int
    methods: tuple[Method, ...]
    answers: tuple[Answer, ...]
    change: str

    @property
    def open(self) -> bool:
        """Whether it is shown before the others."""
        return self.mark.name in ("failed", "warned")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter with its requirements."""

    code: str
    title: str
    rows: tuple[ShownRequirement, ...]
    counts: Counter[str]


@dataclass(frozen=True, slots=True)
class ShownBehaviour:
    """What was observed where the specification is silent; `before` is the earlier run's, if it differs."""

    requirement: Requirement
    aspect: str
    seen: str
    before: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the template needs it."""

    run: RecordedRun
    headline: str
    lead: str  # what follows the name of the implementation
    spoiled: Sequence[str]  # the requirements that keep the run from being green: the broken ones, if there are any
    counts: Sequence[tuple[Mark, int]]
    chapters: Sequence[Chapter]
    behaviours: Sequence[ShownBehaviour]
    unclear: Sequence[tuple[str, Sequence[Requirement]]]
    changes: dict[ChangeKind, list[RunChange]] = field(default_factory=dict)

    @property
    def requirements(self) -> list[ShownRequirement]:
        """Every requirement, in the order of the catalogue."""
        return [row for chapter in self.chapters for row in chapter.rows]

    def those(self, mark: str) -> list[ShownRequirement]:
        """Return the requirements with a mark."""
        return [each for each in self.requirements if each.mark.name == mark]

    @property
    def ended(self) -> datetime.datetime | None:
        """The time of the end, if it is known."""
        end = self.run.ended
        return self.run.started.began + datetime.timedelta(seconds=end.seconds) if end else None


def grouped(observations: Sequence[_Observation]) -> list[tuple[Requirement, list[_Observation]]]:
    """Return observations, which are sorted by their requirements, in groups of one requirement each."""
    return [(row, list(group)) for row, group in groupby(observations, key=lambda each: each.requirement)]


def view(run: RecordedRun) -> RunView:
    """Return a run as the page shows it."""
    differ = changes(run.against, run) if run.against else {}
    kinds = {change.what: str(change.kind) for listed in differ.values() for change in listed}
    shown = list(_requirements(run, kinds))
    spoiled = run.result.spoiling
    spoiled = [verdict for verdict in spoiled if verdict.outcome in BROKEN] or spoiled
    by_chapter = defaultdict[str, list[ShownRequirement]](list)
    for each in shown:
        by_chapter[each.row.chapter].append(each)
    found = Counter(each.mark for each in shown)
    order = [*MARKS.values(), NOT_TESTABLE, NOT_SELECTED]
    return RunView(
        run,
        _headline(run, spoiled),
        _lead(run, spoiled),
        [verdict.requirement.id for verdict in spoiled],
        [(mark, found[mark]) for mark in order if found[mark] or mark in order[:2]],
        [
            Chapter(code, CHAPTERS[code], tuple(rows), Counter(row.mark.name for row in rows))
            for code, rows in by_chapter.items()
        ],
        list(_behaviours(run)),
        list(_unclear(run)),
        differ,
    )


def _headline(run: RecordedRun, spoiled: Sequence[Verdict]) -> str:
    if run.result.green:
        return "Passed"
    if any(verdict.outcome in BROKEN for verdict in spoiled):
        return "Failed"
    if run.result.interrupted:
        return "Interrupted"
    return "Not passed" if run.result.judged else "Nothing judged"


def _lead(run: RecordedRun, spoiled: Sequence[Verdict]) -> str:
    """Return the rest of the sentence under the headline, which begins with the name of the implementation."""
    found = Counter(verdict.outcome for verdict in run.verdicts)
    judged = sum(found[outcome] for outcome in (Outcome.PASSED, *BROKEN, Outcome.KNOWN))
    if not judged:
        return "could not be judged."
    also = f", but for {_many(found[Outcome.KNOWN], 'known failure')}" if found[Outcome.KNOWN] else ""
    if found[Outcome.WARNED]:
        also += f"; there {'is' if found[Outcome.WARNED] == 1 else 'are'} {_many(found[Outcome.WARNED], 'warning')}"
    unclear = [verdict for verdict in spoiled if verdict.outcome not in BROKEN]
    if len(unclear) < len(spoiled):
        return f"breaks {len(spoiled) - len(unclear)} of {_many(judged, 'judged demand')}."
    if unclear:
        also += f"; {_many(len(unclear), 'requirement')} without a verdict must have one"
    return (
        f"breaks no MUST among {_many(judged, 'judged demand')}{also}."
        if also
        else f"meets all {judged} judged demands."
    )


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _requirements(run: RecordedRun, kinds: dict[str, str]) -> Iterator[ShownRequirement]:
    numbers = {case.event.name: number for number, case in enumerate(run.cases)}
    own = defaultdict[str, list[RecordedCase]](list)
    for case in run.cases:
        own[case.event.requirement].append(case)
    for verdict in run.verdicts:
        row, mark = verdict.requirement, mark_of(verdict)
        ways = distinct(verdict) if mark.name in ("failed", "warned", "known", "follow-up") else []
        cases = own[row.id]
        yield ShownRequirement(
            row,
            verdict,
            mark,
            tuple(_way(way, numbers) for way in ways[:_MOST_WAYS]),
            len(ways) - len(ways[:_MOST_WAYS]),
            tuple(_methods(run, cases, numbers)),
            tuple(_answers(cases)),
            kinds.get(row.id, ""),
        )


def _way(finding: Finding, numbers: dict[str, int]) -> Way:
    seen, _, too = finding.seen.partition(" (broken, too: ")
    decisive = ",".join(map(str, finding.decisive))
    return Way(finding, seen, too.removesuffix(")"), numbers.get(finding.case, -1), decisive)


def _methods(run: RecordedRun, cases: Sequence[RecordedCase], numbers: dict[str, int]) -> Iterator[Method]:
    by_about = defaultdict[str, list[ShownCase]](list)
    for case in cases:
        event = case.event
        at = run.started.began + datetime.timedelta(seconds=event.at)
        title = event.name.rpartition("::")[2]
        mark = MARKS[event.outcome] if event.outcome else Mark("inconclusive", "error of the kit")
        clock = at.strftime("%H:%M:%S.%f")[:-3]
        by_about[event.about].append(ShownCase(numbers[event.name], title, mark, event.seconds, clock))
    for about, shown in by_about.items():
        yield Method(about, tuple(shown))


def _answers(cases: Sequence[RecordedCase]) -> Iterator[Answer]:
    """Yield the most frequent answers; requests that only had to be accepted, as controls are, come last."""
    found = Counter[tuple[str, str, str, bool]]()
    for case in cases:
        found.update(judgements(case.records))
    ranked = sorted(found.items(), key=lambda item: (not item[0][3], item[0][1] == "accepted", -item[1]))
    for (request, expected, seen, broken), times in ranked[:_MOST_ANSWERS]:
        yield Answer(request, expected, seen, broken, times)


def _behaviours(run: RecordedRun) -> Iterator[ShownBehaviour]:
    earlier = {verdict.requirement.id: verdict.observed for verdict in run.against.verdicts} if run.against else {}
    for verdict in run.verdicts:
        for aspect, seen in verdict.observed.items():
            before = earlier.get(verdict.requirement.id, {}).get(aspect, "not observed")
            yield ShownBehaviour(verdict.requirement, aspect, seen, before if run.against and before != seen else "")


def _unclear(run: RecordedRun) -> Iterator[tuple[str, list[Requirement]]]:
    """Yield the reasons of verdicts that are missing, with their requirements, the most frequent first."""
    by_reason = defaultdict[str, list[Requirement]](list)
    for verdict in run.verdicts:
        if verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED, Outcome.FOLLOW_UP):
            reason = next(iter(verdict.reasons), "no reason is recorded")
            by_reason[f"{verdict.outcome}: {reason}"].append(verdict.requirement)
    yield from sorted(by_reason.items(), key=lambda item: -len(item[1]))
