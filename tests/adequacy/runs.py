"""One run of the suite against one of the named relays."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from cbspec.cli.cases import find_cases
from tests.adequacy.matrix import Row, judge
from tests.adequacy.subjects import Kind, Subject
from tests.adequacy.suites import SUITE, NoResults, relay, results

PATIENCE = 600.0
"""Seconds after which a run counts as hanging."""

_WORKERS = {"slow": ("-n", "6")}  # a relay that is waited for all the time is waited for by several


def run(context: ForkServerContext, subject: Subject, transport: str) -> Row:
    """Judge one relay on one transport."""
    began = time.monotonic()
    found: dict[str, Any] | str
    with tempfile.TemporaryDirectory(prefix="cbspec-adequacy-") as name:
        folder = Path(name)
        try:
            with relay(folder, *subject.options) as profile:
                chosen = ("--target-profile", str(profile), "--transport", transport, *_selection(subject))
                found = results(context, folder, PATIENCE, *chosen)
        except NoResults as reason:
            found = str(reason)
    return judge(subject, transport, found, time.monotonic() - began)


def _selection(subject: Subject) -> tuple[str, ...]:
    """Return which cases judge a relay, and how hard they try."""
    if subject.kind is not Kind.DEVIATION:
        return ("--effort", "quick", *_WORKERS.get(subject.id, ()), str(SUITE))
    return ("--only", subject.requirement, *_files_of(subject.requirement))


@cache
def _files_of(requirement: str) -> tuple[str, ...]:
    """Return the files that hold the cases of a requirement: to look at the others would take longer than to run it."""
    files = {case.file for case in find_cases(SUITE) if requirement in case.requirements}
    return tuple(str(SUITE / file) for file in sorted(files))
