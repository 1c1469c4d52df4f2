"""One run of the suite against one of the named relays."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from cbspec.cli.cases import find_cases
from cbspec_simulator import VARIANTS
from tests.adequacy.matrix import MatrixRow, judge
from tests.adequacy.subjects import WAITED_FOR, Subject, SubjectKind
from tests.adequacy.suites import SUITE, NoResults, forked_relay, results
from tests.support.processes import served

_LOGS = Path(__file__).parents[2] / ".adequacy"  # reports of runs with a bad verdict
_PATIENCE = 900.0  # seconds after which a run is stopped
_WORKERS = ("-n", "4")  # several wait at a time


def run(context: ForkServerContext, group: Sequence[Subject], transport: str) -> list[MatrixRow]:
    """Judge relays on one transport: together, and if that relay is accused, each alone."""
    rows = _together(context, group, transport)
    if len(group) == 1 or all(row.verdict.good for row in rows):
        return rows
    return [row for subject in group for row in _together(context, [subject], transport)]


def _together(context: ForkServerContext, group: Sequence[Subject], transport: str) -> list[MatrixRow]:
    found: dict[str, Any] | str
    with tempfile.TemporaryDirectory(prefix="cbspec-adequacy-") as name:
        folder = Path(name)
        try:
            with _relay(context, folder, group) as profile:
                chosen = ("--target-profile", str(profile), "--transport", transport, *_selection(group[0]))
                found = results(context, folder, _PATIENCE, *chosen)
        except NoResults as reason:
            found = str(reason)
        rows = [judge(subject, transport, found) for subject in group]
        for row in rows:
            if not row.verdict.good and (folder / "suite.log").exists():
                _LOGS.mkdir(exist_ok=True)
                shutil.copy(folder / "suite.log", _LOGS / f"{row.subject.kind}-{row.subject.id}-{transport}.log")
    return rows


@contextlib.contextmanager
def _relay(context: ForkServerContext, folder: Path, group: Sequence[Subject]) -> Iterator[Path]:
    """Start the relay of a group and yield its profile."""
    options = [option for subject in group for option in subject.options]
    if any(subject.kind is SubjectKind.VARIANT and VARIANTS[subject.id].openssl for subject in group):
        with served(folder, *options) as relay:  # OpenSSL reads its configuration at the start of a process
            yield relay.profile_file
    else:
        with forked_relay(context, folder, *options) as profile:
            yield profile


def _selection(subject: Subject) -> tuple[str, ...]:
    """Return the options that select the cases for a relay, and their effort."""
    if subject.kind is not SubjectKind.DEVIATION:
        return ("--effort", "quick", *(_WORKERS if subject.id in WAITED_FOR else ()), str(SUITE))
    return ("--only", subject.requirement, *_files_of(subject.requirement))


@cache
def _files_of(requirement: str) -> tuple[str, ...]:
    """Return the files with the cases of a requirement: to import all others would take longer than the run."""
    files = {case.file for case in find_cases(SUITE) if requirement in case.requirements}
    return tuple(str(SUITE / file) for file in sorted(files))
