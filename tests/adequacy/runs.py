"""One run of the suite against one of the named relays."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from cbspec.cli.cases import find_cases
from cbspec_simulator.variations.variants import VARIANTS
from tests.adequacy.matrix import Row, judge
from tests.adequacy.subjects import WAITED_FOR, Kind, Subject
from tests.adequacy.suites import SUITE, NoResults, forked_relay, relay, results

LOGS = Path(__file__).parents[2] / ".adequacy"
"""Where the reports are of runs that didn't come out as they should."""

PATIENCE = 900.0
"""Seconds after which a run counts as hanging."""

_WORKERS = ("-n", "4")  # a relay that is waited for all the time is waited for by several


def run(context: ForkServerContext, group: Sequence[Subject], transport: str) -> list[Row]:
    """Judge relays on one transport: as one relay where they are several, and each alone where that one is accused."""
    rows = _together(context, group, transport)
    if len(group) == 1 or all(row.verdict.good for row in rows):
        return rows
    return [row for subject in group for row in _together(context, [subject], transport)]


def _together(context: ForkServerContext, group: Sequence[Subject], transport: str) -> list[Row]:
    began = time.monotonic()
    found: dict[str, Any] | str
    with tempfile.TemporaryDirectory(prefix="cbspec-adequacy-") as name:
        folder = Path(name)
        try:
            with _relay(context, folder, group) as profile:
                chosen = ("--target-profile", str(profile), "--transport", transport, *_selection(group[0]))
                found = results(context, folder, PATIENCE, *chosen)
        except NoResults as reason:
            found = str(reason)
        rows = [judge(subject, transport, found, time.monotonic() - began) for subject in group]
        for row in rows:
            if not row.verdict.good and (folder / "suite.log").exists():
                LOGS.mkdir(exist_ok=True)
                shutil.copy(folder / "suite.log", LOGS / f"{row.subject.kind}-{row.subject.id}-{transport}.log")
    return rows


def _relay(
    context: ForkServerContext, folder: Path, group: Sequence[Subject]
) -> contextlib.AbstractContextManager[Path]:
    options = [option for subject in group for option in subject.options]
    # OpenSSL reads its configuration when a process begins.
    return relay(folder, *options) if _own_process(group) else forked_relay(context, folder, *options)


def _own_process(group: Sequence[Subject]) -> bool:
    return any(subject.kind is Kind.VARIANT and VARIANTS[subject.id].openssl for subject in group)


def _selection(subject: Subject) -> tuple[str, ...]:
    """Return which cases judge a relay, and how hard they try."""
    if subject.kind is not Kind.DEVIATION:
        return ("--effort", "quick", *(_WORKERS if subject.id in WAITED_FOR else ()), str(SUITE))
    return ("--only", subject.requirement, *_files_of(subject.requirement))


@cache
def _files_of(requirement: str) -> tuple[str, ...]:
    """Return the files that hold the cases of a requirement: to look at the others would take longer than to run it."""
    files = {case.file for case in find_cases(SUITE) if requirement in case.requirements}
    return tuple(str(SUITE / file) for file in sorted(files))
