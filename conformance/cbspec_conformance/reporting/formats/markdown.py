"""A summary for the page of a CI job, in GitHub's Markdown: what failed, why, and how to repeat it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from cbspec.catalogue.requirements import CHAPTERS, JudgedRole
from cbspec_conformance.judging.verdicts import BROKEN, Outcome, Verdict
from cbspec_conformance.record.render import BEFORE
from cbspec_conformance.reporting.comparison import changes
from cbspec_conformance.reporting.events import MachineLearned
from cbspec_conformance.reporting.formats.texts import headline, subject_facts
from cbspec_conformance.reporting.report import counts, distinct
from cbspec_conformance.reporting.stream import RecordedRun

_MOST_ROWS: Final = 20  # of the table of failures
_MOST_SHOWN: Final = 3  # failures with their exchanges
_MOST_LINES: Final = 8  # of an exchange
_MOST_REASONS: Final = 5
_LONGEST: Final = 300  # characters of a cell or line


def render(run: RecordedRun) -> bytes:
    """Return the summary: less than 80 lines."""
    return ("\n".join(_lines(run)) + "\n").encode("utf-8", "backslashreplace")


def _lines(run: RecordedRun) -> Iterator[str]:
    result = run.result
    broken = [each for outcome in BROKEN for each in run.verdicts if each.outcome is outcome]
    mark = "✅" if result.green else "❌"
    yield f"## {mark} {_escaped(run.started.subject.address)}: {headline(run)}"
    yield ""
    if run.ended is None:
        yield from ("**The run is going on, or was killed.** These are its results so far.", "")
    elif run.ended.reason:
        yield from (_escaped(run.ended.reason), "")
    yield f"{counts(result)}."
    if run.machine is not None:
        yield from ("", _machine(run.machine))
    if run.against is not None:
        yield from _comparison(run, run.against)
    if broken:
        yield from _table(broken)
    for verdict in broken[:_MOST_SHOWN]:
        yield from _exchange(verdict)
    yield from _reasons(run)
    if result.green:
        yield from _chapters(run)
    yield ""
    yield "<sub>" + "; ".join(f"{name}: {_escaped(value)}" for name, value in subject_facts(run)) + "</sub>"
    if broken and result.command and run.started.subject.role is JudgedRole.RELAY:
        yield from ("", "Repeat it:", *_fenced([result.alone(broken[0].requirement.id)], "sh"))


def _machine(learned: MachineLearned) -> str:
    if learned.machine is None:
        return f"Its state machine was not learned: {_escaped(learned.stopped)}."
    states, table = len(learned.machine.states), learned.table_states
    return (
        f"Its state machine has {states} states, the specification's {table}; differences: {len(learned.differences)}."
    )


def _comparison(run: RecordedRun, old: RecordedRun) -> Iterator[str]:
    since = old.started.began.strftime("%Y-%m-%d %H:%M UTC")
    groups = (f"{kind}: {_ids([each.what for each in found])}" for kind, found in changes(old, run).items())
    yield from ("", f"Compared with the run of {since}: {'; '.join(groups) or 'no difference'}.")


def _table(broken: Sequence[Verdict]) -> Iterator[str]:
    yield from ("", "| requirement | level | expected | seen |", "| --- | --- | --- | --- |")
    for verdict in broken[:_MOST_ROWS]:
        finding, row = distinct(verdict)[0], verdict.requirement
        seen = finding.seen + (f" [{finding.change}]" if finding.change else "")
        yield f"| {row.id} | {row.level} | {_escaped(finding.expected)} | {_escaped(seen)} |"
    if len(broken) > _MOST_ROWS:
        yield f"| {', '.join(each.requirement.id for each in broken[_MOST_ROWS:])} | | | |"


def _exchange(verdict: Verdict) -> Iterator[str]:
    finding, row = distinct(verdict)[0], verdict.requirement
    lines = [line for line in finding.exchange.splitlines() if line.startswith((">", BEFORE))]
    lines = lines or finding.exchange.splitlines()
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"  … {len(lines) - _MOST_LINES + 1} more lines"]
    yield ""
    yield f"<details><summary><b>{row.id}</b> {_escaped(row.demand)}</summary>"
    yield ""
    if lines:
        yield from _fenced(lines)
    yield from (f"{_escaped(row.section)}; `cbspec explain {row.id}`", "", "</details>")


def _reasons(run: RecordedRun) -> Iterator[str]:
    """Yield what keeps requirements, or the run, from a verdict."""
    found: dict[str, list[str]] = {}
    for verdict in run.verdicts:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            found.setdefault(next(iter(verdict.reasons), ""), []).append(verdict.requirement.id)
    texts = [f"Inconclusive: {_ids(ids)}: {_escaped(reason)}" for reason, ids in found.items()]
    if len(texts) > _MOST_REASONS:
        texts = [*texts[:_MOST_REASONS], f"{len(texts) - _MOST_REASONS} more reasons"]
    if run.result.stale:
        texts.append(f"Stale in the baseline, remove them: {', '.join(run.result.stale)}")
    if known := [each.requirement.id for each in run.verdicts if each.outcome is Outcome.KNOWN]:
        texts.append(f"Known failures: {_ids(known)}")
    texts += [f"An error of the kit: {_escaped(error)}" for error in run.result.kit_errors[:_MOST_REASONS]]
    if texts:
        yield from ("", *(f"- {text}" for text in texts))


def _chapters(run: RecordedRun) -> Iterator[str]:
    outcomes = [each for each in Outcome if any(verdict.outcome is each for verdict in run.verdicts)]
    yield from ("", f"| chapter | {' | '.join(outcomes)} |", "| --- |" + " ---: |" * len(outcomes))
    for chapter, title in CHAPTERS.items():
        found = Counter(each.outcome for each in run.verdicts if each.requirement.chapter == chapter)
        if found.keys() - {None}:
            yield f"| {title} | {' | '.join(str(found[outcome] or '') for outcome in outcomes)} |"


def _ids(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= _MOST_REASONS else f"{', '.join(ids[:3])} and {len(ids) - 3} more"


def _fenced(lines: Sequence[str], language: str = "") -> list[str]:
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *(line[:_LONGEST] for line in lines), fence]


def _escaped(text: str) -> str:
    """Return a text, parts of which come from the relay, on one line without any markup."""
    text = " ".join(text.split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", text)
