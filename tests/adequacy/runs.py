"""Runs of the suite against the named relays, in forked processes: imports would take longer than most runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

import cbspec_conformance
from cbspec.cli.explain import find_cases
from cbspec_conformance.reporting.stream import RecordedRun, StreamError
from cbspec_simulator import VARIANTS
from tests.adequacy.matrix import MatrixRow, judge
from tests.adequacy.sentences import untrue
from tests.adequacy.subjects import WAITED_FOR, Subject, SubjectKind
from tests.support.forked import NoStart, forked_relay
from tests.support.processes import served
from tests.support.results import results_of

SUITE = Path(cbspec_conformance.__file__).parent
_LOGS = Path(__file__).parents[2] / ".adequacy"  # reports of runs with a bad verdict
_PATIENCE = 1800.0  # seconds after which a run is stopped: a slow relay takes 15 minutes
_WORKERS = ("-n", "4")  # several wait at a time


class NoResults(Exception):
    """A run has no results; the text gives the reason."""


def results(context: ForkServerContext, folder: Path, *arguments: str) -> dict[str, Any]:
    """Return the results of a run. Raises NoResults if there are none, or if its transcripts give other verdicts."""
    file = folder / "results.jsonl"
    options = ("--results", str(file), "--max-time", f"{_PATIENCE:.0f}", *arguments)
    process = context.Process(target=_run, args=(options, folder))
    process.start()
    process.join(_PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        raise NoResults(f"the run took more than {_PATIENCE:.0f} s")
    try:
        run = RecordedRun.load(file)
        found, again = results_of(run), results_of(run.rejudged())
        nothing = run.ended is None or bool(run.ended.reason)
    except (OSError, StreamError):
        nothing = True
    if nothing:
        lines = (folder / "suite.log").read_text(errors="replace").strip().splitlines()
        raise NoResults(f"exit code {process.exitcode}: {lines[-1] if lines else 'no output'}")
    if difference := _difference(found, again):
        raise NoResults(f"the transcript gives another verdict: {difference}")
    if sentence := untrue(found):
        raise NoResults(f"a sentence is untrue: {sentence}")
    return found


def _difference(run: dict[str, Any], again: dict[str, Any]) -> str:
    """Return the first difference between the verdicts of a run and those recomputed from its transcripts."""
    for name, verdict in run["requirements"].items():
        one, other = _verdict(verdict), _verdict(again["requirements"].get(name, {}))
        if one != other:
            return f"{name}: {one} and {other}"
    return "" if run["green"] == again["green"] else f"green: {run['green']} and {again['green']}"


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict without the exchanges as text: a transcript cuts long messages."""
    findings = [{**finding, "exchange": "", "decisive": (), "steps": ""} for finding in verdict.get("findings", ())]
    return {**verdict, "findings": findings}


def _run(arguments: Sequence[str], folder: Path) -> None:
    file = os.open(folder / "suite.log", os.O_CREAT | os.O_WRONLY, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["XDG_CACHE_HOME"] = str(folder)  # runs share no saved failures
    sys.exit(pytest.main(["-c", str(SUITE / "pytest.ini"), "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]))


def run(
    context: ForkServerContext, group: Sequence[Subject], transport: str, *, whole: bool = False
) -> list[MatrixRow]:
    """Judge relays on one transport: together, and if that relay is accused, each alone.

    With `whole`, deviations are judged by every case: it shows what else is blamed.
    """
    rows = _together(context, group, transport, whole=whole)
    if len(group) == 1 or all(row.verdict.good for row in rows):
        return rows
    return [row for subject in group for row in _together(context, [subject], transport, whole=whole)]


def _together(context: ForkServerContext, group: Sequence[Subject], transport: str, *, whole: bool) -> list[MatrixRow]:
    found: dict[str, Any] | str
    with tempfile.TemporaryDirectory(prefix="cbspec-adequacy-") as name:
        folder = Path(name)
        try:
            with relay(context, folder, group) as profile:
                chosen = (
                    "--target-profile",
                    str(profile),
                    "--transport",
                    transport,
                    *_selection(group[0], whole=whole),
                )
                found = results(context, folder, *chosen)
        except NoResults as reason:
            found = str(reason)
        rows = [judge(subject, transport, found) for subject in group]
        for row in rows:
            if not row.verdict.good and (folder / "suite.log").exists():
                _LOGS.mkdir(exist_ok=True)
                shutil.copy(folder / "suite.log", _LOGS / f"{row.subject.kind}-{row.subject.id}-{transport}.log")
    return rows


@contextlib.contextmanager
def relay(context: ForkServerContext, folder: Path, group: Sequence[Subject]) -> Iterator[Path]:
    """Start the relay of a group and yield its profile."""
    options = [option for subject in group for option in subject.options]
    if any(subject.kind is SubjectKind.VARIANT and VARIANTS[subject.id].openssl for subject in group):
        with served(folder, *options) as relay:  # OpenSSL reads its configuration at the start of a process
            yield relay.profile_file
    else:
        try:
            with forked_relay(context, folder, *options) as profile:
                yield profile
        except NoStart as error:
            raise NoResults(str(error)) from error


def _selection(subject: Subject, *, whole: bool) -> tuple[str, ...]:
    """Return the options that select the cases for a relay, and their effort."""
    if whole or subject.kind is not SubjectKind.DEVIATION:
        return ("--effort", "quick", *(_WORKERS if subject.id in WAITED_FOR else ()), str(SUITE))
    return ("--only", subject.requirement, "--own-cases", *_files_of(subject.requirement))


@cache
def _files_of(requirement: str) -> tuple[str, ...]:
    """Return the files with the cases of a requirement: to import all others would take longer than the run."""
    files = {case.file for case in find_cases(SUITE) if requirement in case.requirements}
    return tuple(str(SUITE / file) for file in sorted(files))
