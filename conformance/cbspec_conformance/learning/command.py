"""`cbspec learn`: learn the state machine of a relay, compare it with the specification, and draw it."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cbspec.catalogue.requirements import Level
from cbspec.errors import CommandError, NothingToJudge
from cbspec.options import (
    COUNT,
    FILE,
    ID,
    RELAY,
    SECONDS,
    TRANSPORT,
    WAIT,
    Option,
    add_options,
    address_of,
    relay_profile,
)
from cbspec_conformance.judging.errors import NotExercised
from cbspec_conformance.judging.verdicts import TIME_UP
from cbspec_conformance.learning.answers import AnswerFile
from cbspec_conformance.learning.comparison import compare, judge_words
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.naming import with_names
from cbspec_conformance.learning.progress import LearningProgress
from cbspec_conformance.learning.queries import Corrected, LearningStopped, NotDeterministic, PlayedWord, Queries
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.learning.results import LearnedRelay, LearningResults, end_without
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.learning.silences import Silences
from cbspec_conformance.learning.words import WordCase, case_of, case_of_invariant
from cbspec_conformance.machines.drawing import as_svg
from cbspec_conformance.machines.machine import Difference, Machine, Word, dump_machine, load_machine
from cbspec_conformance.machines.sketch import as_dot, as_mermaid
from cbspec_conformance.reporting.formats import AGAINST, REPORTS
from cbspec_conformance.reporting.stream import RecordedRun, StreamError
from cbspec_conformance.runner.options import GROUPS, Options, options_of
from cbspec_conformance.runner.streaming import RunStream, wants_stream
from cbspec_conformance.target.preflight import NoTarget

_JOBS: Final = 8
_WAITING: Final = 32  # words at once if answers are missing, or slow
_SLOW: Final = 0.02  # seconds for an answer above which the words mostly wait
_GRACE: Final = 10.0  # least seconds after --max-time to show breaches again
_TRIES: Final = 3  # to see a breach again that a relay showed whose machine could not be learned

LEARNING: Final = (
    Option("--max-time", "stop after this time, and judge what is known", SECONDS, default_text="no limit"),
    Option(
        "--jobs",
        "words that are asked at once",
        COUNT,
        default_text=f"{_JOBS}; {_WAITING} of a slow relay; 1 with limits of tenants",
    ),
    Option("--tenant", "tenant A of the words", ID, default_text="the profile's first without limits"),
    Option("--cache", "keep the relay's answers for the next run, which asks few of them again", FILE),
)
OUTPUTS: Final = (
    Option("--save", "write the machine as JSON, for --against", FILE),
    Option("--mermaid", "write the machine as a Mermaid diagram", FILE),
    Option("--dot", "write the machine in the language of Graphviz", FILE),
    Option("--svg", "write the machine as a picture", FILE),
)
_AGAINST: Final = "earlier machine to compare with: from --save, or the results of that learning"
_SHARED: Final = ("--fail-on", "--baseline", "--write-baseline", "--results", "--failures", "--exchanges")
_OF_THE_RELAY: Final = [*(row for row in RELAY if row.name != "--token-file"), TRANSPORT, WAIT]
"""A single token makes no alphabet."""


def _rows(title: str) -> list[Option]:
    """Return the options of a group of `cbspec verify` that learning has, too."""
    names = {*_SHARED, *(row.name for row in REPORTS)}
    rows = (replace(row, help=_AGAINST) if row is AGAINST else row for row in GROUPS[title])
    return [row for row in rows if row.name in names]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec learn`."""
    groups = {
        "the relay": _OF_THE_RELAY,
        "learning": LEARNING,
        "the verdict": _rows("the verdict"),
        "the machine": OUTPUTS,
        "reports": _rows("reports"),
    }
    for title, rows in groups.items():
        add_options(parser.add_argument_group(title), rows)


def run(args: argparse.Namespace) -> int:
    """Learn a relay and print the report; return the exit code."""
    began = time.time()
    earlier, args.against = _earlier(args.against)
    args.target = address_of(args)
    profile = relay_profile(args.target, args.profile, args.ca)
    if args.transport is not None:
        profile = replace(profile, target=replace(profile.target, transport=args.transport))
    try:
        options = learning_options(args)
        stream = RunStream(options, began) if wants_stream(options) else None
    except pytest.UsageError as error:
        raise CommandError(str(error)) from None
    try:
        try:
            setting = LearningSetting(profile, args.wait, args.tenant or "")
        except (NoTarget, NotExercised) as error:
            address, reason = str(profile.target.address), str(error)
            errors = end_without(stream, options, address, reason) if stream is not None else []
            raise NothingToJudge("\n".join([reason, *errors])) from None
        results = LearningResults(options, setting, stream, began)
        results.begin()
        learned = replace(_Session(setting, args).learn(), earlier=earlier)
        write_files(args, learned.machine, learned.differences, len(learned.table.states))
        return results.end(learned, lambda text, **markup: print(text))
    finally:
        if stream is not None:
            stream.close()


def learning_options(args: argparse.Namespace) -> Options:
    """Return the options as the suite has them. Raises pytest.UsageError if one is invalid."""
    rows = {row.in_pytest or row.name: row for rows in GROUPS.values() for row in rows}
    offered = {row.name for row in (*_OF_THE_RELAY, *_rows("the verdict"), *_rows("reports"))}

    def given(name: str) -> Any:  # noqa: ANN401 - the value of an option
        row = rows[name]
        if row.name not in offered:
            return row.settings().get("default", False)
        value = getattr(args, row.dest)
        return value if value is None or isinstance(value, (bool, int, float)) else str(value)

    options = options_of(given)
    own = {row.name: str(value) for row in LEARNING if (value := getattr(args, row.dest)) is not None}
    return replace(options, given=options.given | own)


def _earlier(file: Path | None) -> tuple[Machine | None, Path | None]:
    """Return the machine of --against, and the file if it holds the results of a run. Raises CommandError."""
    if file is None:
        return None, None
    try:
        found = RecordedRun.load(file).machine
    except StreamError:
        return load_machine(file), None
    if found is None or found.machine is None:
        raise CommandError(f"--against: {file} has no machine; name the results of cbspec learn, or a file of --save")
    return found.machine.machine, file


def write_files(
    args: argparse.Namespace, machine: Machine | None, differences: Sequence[Difference], table_states: int = 0
) -> None:
    """Write the files of `OUTPUTS`; `table_states` is that of `as_svg`. Raises OSError."""
    makers: dict[str, Callable[[Machine], str]] = {
        "save": dump_machine,
        "mermaid": lambda machine: as_mermaid(machine, differences),
        "dot": lambda machine: as_dot(machine, differences),
        "svg": lambda machine: as_svg(machine, differences, table_states),
    }
    for name, make in makers.items():
        file: Path | None = getattr(args, name)
        if file is not None and machine is not None:
            file.write_text(make(machine), "utf-8")
        elif file is not None:
            print(f"--{name}: {file} is not written, because the machine is not known", file=sys.stderr)


class _Session:
    """The learning of one relay."""

    def __init__(self, setting: LearningSetting, args: argparse.Namespace) -> None:
        self._began = time.monotonic()
        self._setting, shared, profile = setting, setting.shared, setting.profile
        usual = _WAITING if setting.facts.latency.trip > _SLOW else _JOBS
        jobs = args.jobs or (1 if setting.limited else usual)
        if bound := profile.target.connections_at_once or profile.relay.connection_limit:
            jobs = max(1, min(jobs, bound // 2))
        self._known = reference(setting.alphabet)
        self._stored = None if args.cache is None else AnswerFile(args.cache, setting.about)
        self._longest: float | None = args.max_time
        self._progress = LearningProgress()
        self._queries: Queries = Queries(
            setting.relay,
            setting.alphabet,
            shared.clock,
            jobs=jobs,
            end=None if args.max_time is None else shared.clock.monotonic() + args.max_time,
            tell=lambda: self._progress.show(self._queries),
            waiting=jobs if bound else _WAITING,
            patient=setting.limited,
            silences=Silences(setting.facts.latency.slowest),
        )

    def learn(self) -> LearnedRelay:
        """Learn the relay, and compare it with the specification."""
        queries, conduct = self._queries, self._setting.conduct
        machine, stopped, cases, interrupted = None, "", list[WordCase](), False
        try:
            machine, found = self._confirmed()
            differences = [each for each, _ in found]
            cases = self._cases(found)
        except LearningStopped as error:
            machine, stopped, queries.end = None, str(error), self._later()
            if stopped == TIME_UP:
                self._ask_breaches()
            odd = error.word if isinstance(error, NotDeterministic) else ()
            judged = judge_words(queries.answers.observed(), conduct)
            differences = [each for each in judged if each.word != odd and queries.is_certain(each.word, each.outputs)]
            cases = self._cases([(each, self._again(each)) for each in differences])
        except KeyboardInterrupt:
            machine, stopped, differences, interrupted = None, "the run was interrupted", [], True
        finally:
            self._progress.clear()
        if not interrupted:
            self._keep(machine)
        return LearnedRelay(
            machine,
            stopped,
            differences,
            queries.made,
            queries.steps,
            time.monotonic() - self._began,
            table=self._known,
            cases=cases,
            tried=conduct.tried(queries.answers.observed()),
            interrupted=interrupted,
        )

    def _confirmed(self) -> tuple[Machine, list[tuple[Difference, PlayedWord | None]]]:
        """Return the machine and its differences, each with its word as it was played again. Raises LearningStopped."""
        origin = str(self._setting.profile.target.address)
        while True:
            machine = learn(self._queries, self._known, self._progress.propose, stored=self._stored)
            found = replace(machine, origin=origin)
            differences = compare(found, self._known, self._setting.conduct)
            try:
                confirmed = [(each, self._queries.confirm(each.word, each.outputs)) for each in differences]
            except Corrected:
                continue
            return with_names(found, self._known), [*confirmed]

    def _later(self) -> float | None:
        """Return the time of the clock until which breaches are shown again after the end of learning."""
        clock = self._setting.shared.clock
        return None if self._longest is None else clock.monotonic() + max(_GRACE, self._longest / 10)

    def _ask_breaches(self) -> None:
        """Ask the shortest words in which the last hypothesis breaks a requirement: those so far may be long."""
        if self._progress.machine is None:
            return
        with contextlib.suppress(LearningStopped, Corrected):
            for each in compare(self._progress.machine, self._known, self._setting.conduct):
                if each.level is not Level.INFO:
                    self._queries.answers.add(each.word, self._queries.play(each.word).outputs)

    def _keep(self, machine: Machine | None) -> None:
        """Write the file of --cache, except for a relay that is not deterministic."""
        if self._stored is None:
            return
        if self._stored.unused:
            print(f"--cache: the answers of an earlier run are not used: {self._stored.unused}", file=sys.stderr)
        if not self._queries.blips or machine is not None:
            self._stored.write(self._queries.answers, machine)

    def _again(self, difference: Difference) -> PlayedWord | None:
        """Play a word until it shows a difference again; None: the relay can't be reached any more."""
        played = None
        with contextlib.suppress(LearningStopped, Corrected):
            for _ in range(_TRIES):
                played = self._queries.play(difference.word)
                if played.outputs == difference.outputs:
                    break
        return played

    def _cases(self, found: list[tuple[Difference, PlayedWord | None]]) -> list[WordCase]:
        """Return a case for each word that shows a difference, and for each other requirement that an answer broke."""
        cases: dict[Word, WordCase] = {}
        for difference, played in found:
            if difference.requirement and played is not None and played.word not in cases:
                cases[played.word] = case_of(played, difference, self._setting.conduct)
        for requirement, played in self._queries.breaches.items():
            if not any(requirement == each.requirement for case in cases.values() for each in case.findings):
                shortest = self._shortened(played, requirement)
                cases[shortest.word] = case_of_invariant(shortest, requirement)
        return list(cases.values())

    def _shortened(self, played: PlayedWord, requirement: str) -> PlayedWord:
        """Return the word up to the answer that broke a requirement, if it does so again."""
        place = next(each.number for each in played.relay.log.findings if each.requirement == requirement)
        numbers = [-1 if each is None else each.number for each in played.exchanges]
        if place not in numbers[:-1]:
            return played
        with contextlib.suppress(LearningStopped, Corrected):
            again = self._queries.play(played.word[: numbers.index(place) + 1])
            if any(each.requirement == requirement for each in again.relay.log.findings):
                return again
        return played
