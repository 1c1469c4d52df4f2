"""The terminal during a run: how far it is, in chapters; failures as they come; with -v every case and its exchanges.

pytest's own reporter writes, so its rules about colours apply: NO_COLOR, FORCE_COLOR, TERM=dumb, none in a file. On a
terminal the last line shows the progress. A log gets a line for each chapter, when its last case has ended.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from typing import Final

import pytest

from cbspec.catalogue.requirements import CHAPTERS
from cbspec.catalogue.revisions import CatalogueRevision
from cbspec_conformance.judging.verdicts import Finding, Outcome
from cbspec_conformance.record.quoting import shortened
from cbspec_conformance.reporting.report import (
    COLOURS,
    COLUMNS,
    WIDTH,
    RunResult,
    counts,
    one_line,
    terse,
    write_report,
)
from cbspec_conformance.runner.estimate import in_words, left
from cbspec_conformance.runner.options import Verbosity

_REDRAW: Final = 0.1  # seconds between two changes of the line with the progress
_SAID: Final = 30.0  # seconds between two sentences in a log
_TITLE: Final = 24  # characters of a chapter's title
_BAD: Final = (Outcome.FAILED, Outcome.WARNED, Outcome.INCONCLUSIVE, Outcome.KNOWN, Outcome.NOT_EXERCISED)


def _interrupted(reporter: pytest.TerminalReporter) -> None:
    """Show why a run ends at once; pytest's own report of Ctrl-C names its lines, and options that cbspec lacks."""
    crash = getattr(vars(reporter).get("_keyboardinterrupt_memo"), "reprcrash", None)
    said = str(getattr(crash, "message", ""))
    if said and not said.startswith(KeyboardInterrupt.__name__):
        reporter.ensure_newline()
        reporter.write_line("cbspec: " + said.partition(": ")[2], red=True)


class RunDisplay:
    """Shows a run. Arguments: pytest's reporter (None: nothing is shown), and a clock in seconds."""

    def __init__(
        self,
        reporter: pytest.TerminalReporter | None,
        verbosity: Verbosity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verbosity = verbosity
        self.terminal = reporter
        self._reporter = None if self.quiet else reporter
        self._clock = clock
        self._began = self._drawn = self._said = clock()
        self._expected = 0.0
        self._cases = self._ended = 0
        self._left = Counter[str]()  # cases by chapter
        self._found = defaultdict[str, Counter[Outcome]](Counter)
        self._failed: list[str] = []
        self._live = False

    @classmethod
    def of(cls, config: pytest.Config) -> RunDisplay:
        """Return the display of a session that begins. A quiet one prints its only line without pytest's reporter."""
        reporter, verbosity = config.pluginmanager.get_plugin("terminalreporter"), Verbosity.take(config)
        if reporter is not None:
            vars(reporter)["_report_keyboardinterrupt"] = partial(_interrupted, reporter)
        if verbosity is Verbosity.QUIET and reporter is not None:
            config.pluginmanager.unregister(reporter)
        return cls(reporter, verbosity)

    @property
    def _is_live(self) -> bool:
        return self._reporter is not None and bool(self._reporter.isatty) and os.environ.get("TERM") != "dumb"

    @property
    def quiet(self) -> bool:
        """Whether only the result is shown, on one line."""
        return self.verbosity is Verbosity.QUIET

    def begin(self, head: str, cases: Sequence[str], seconds: float, catalogue: CatalogueRevision) -> None:
        """Start: the run has a case for each requirement in `cases`, and takes about `seconds`.

        The lines of `head` are shown, and the versions of the kit and of the `catalogue`.
        """
        self._began = self._drawn = self._said = self._clock()
        self._cases, self._expected = len(cases), seconds
        self._left = Counter(map(_chapter, cases))
        for line in head.splitlines():
            self.say(shortened(line, WIDTH), bold=True)
        self.say(f"cbspec {metadata.version('cbspec')}, {catalogue}", light=True)

    def now(self, text: str) -> None:
        """Show on a terminal what happens now, in place of the line before."""
        if self._reporter is not None and self._is_live:
            self._reporter.rewrite(shortened(text, WIDTH - 1), erase=True)
            self._reporter.flush()
            self._live = True

    def say(self, text: str, **markup: bool) -> None:
        """Write a line above that with the progress."""
        reporter = self._reporter
        if reporter is None:
            return
        self.end()
        reporter.write_line(text, **markup)
        reporter.flush()

    def failed(self, finding: Finding) -> None:
        """Show a requirement that has failed, once."""
        if finding.requirement not in self._failed:
            self._failed.append(finding.requirement)
            text = f"failed  {finding.requirement}  {terse(finding.seen)}; expected {terse(finding.expected)}"
            self.say(shortened(text, WIDTH), **COLOURS[Outcome.FAILED])

    def ended(self, case: str, requirement: str, outcome: Outcome, exchanges: str = "", *, cases: int = 0) -> None:
        """Count a case that has ended. `cases` is the number of all, if it was not known at the beginning."""
        self._cases = max(self._cases, cases)
        self._ended += 1
        chapter = _chapter(requirement)
        self._left[chapter] -= 1
        self._found[chapter][outcome] += 1
        if self.verbosity > Verbosity.USUAL:
            self._case(case, requirement, outcome, exchanges)
        elif self._is_live:
            self._draw(chapter)
        elif self._left[chapter] == 0:
            self._chapter_ended(requirement, chapter)
        elif self._clock() - self._said >= _SAID:
            self._said = self._clock()
            self.say(f"{self._ended} of {self._cases} cases{self._time_left()}")

    def report(self, result: RunResult, *, short: bool = False) -> None:
        """Write the report, a `short` one, or its one line."""
        if self.terminal is None:
            return
        write = self.terminal.write_line
        if self.quiet:
            write(one_line(result))
            return
        write_report(result, write, brief=short)
        colour = {"green" if result.green else "red": True}
        last = partial(write, counts(result), bold=True, **colour)
        vars(self.terminal)["summary_stats"] = last  # pytest's own line counts cases

    def end(self) -> None:
        """Remove the line with the progress."""
        if self._reporter is not None and self._live:
            self._reporter.rewrite("", erase=True)
            self._reporter.rewrite("")
            self._live = False

    def _case(self, case: str, requirement: str, outcome: Outcome, exchanges: str) -> None:
        whole = self.verbosity is Verbosity.WHOLE_EXCHANGES
        name = f"{outcome.upper():<13} {requirement}  {case.rpartition('/')[2]}"
        self.say(name if whole else shortened(name, WIDTH), **COLOURS.get(outcome, {"bold": True}))
        for line in exchanges.splitlines():
            text = f"  {line}"
            self.say(text if whole else shortened(text, WIDTH), light=True)

    def _chapter_ended(self, requirement: str, chapter: str) -> None:
        found = self._found[chapter]
        self._said = self._clock()
        told = ", ".join(f"{found[each]} {COLUMNS[each]}" for each in _BAD if found[each]) or "ok"
        head = f"{requirement[:3]}{chapter}  {CHAPTERS.get(chapter, '')[:_TITLE]:<{_TITLE}} {found.total():>4} cases"
        colour = next((COLOURS[each] for each in COLOURS if found[each]), {})
        time_left = self._time_left().removeprefix(", about ")
        self.say(f"{shortened(f'{head}  {told}', room := WIDTH - 12):<{room}}{time_left:>12}".rstrip(), **colour)

    def _draw(self, chapter: str) -> None:
        now = self._clock()
        if now - self._drawn < _REDRAW:
            return
        self._drawn = now
        all_of = self._left[chapter] + self._found[chapter].total()
        inner = f"{CHAPTERS.get(chapter, '')} {self._found[chapter].total()}/{all_of}"
        bad = f", {len(self._failed)} failed" if self._failed else ""
        text = f"{self._ended} of {self._cases} cases{bad}{self._time_left()}  {inner}"
        self.now(text)

    def _time_left(self) -> str:
        seconds = left(self._clock() - self._began, self._ended, self._cases, self._expected)
        return f", about {in_words(seconds)} left" if self._ended < self._cases else ""


def _chapter(requirement: str) -> str:
    return requirement[3:6]
