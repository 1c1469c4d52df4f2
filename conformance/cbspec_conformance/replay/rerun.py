"""Reruns the case of a failure in a process of its own, if its steps cannot be played or do not show it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.reporting.results import Results, read_results


class ReplayVerdict(StrEnum):
    """Whether the failure still occurs."""

    FIXED = "fixed"
    FAILING = "still failing"
    UNCLEAR = "can't tell"


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """A verdict, its reason and the exchange as text."""

    verdict: ReplayVerdict
    reason: str
    exchange: str = ""


PREFLIGHT = "preflight"  # the case name of a failure from the preflight


def rerun(failures: Sequence[Failure], target: Sequence[str]) -> list[ReplayOutcome]:
    """Run the cases of all failures and return the outcome of each; `target` are the options that name the relay.

    Failures with the same options share a run.
    """
    groups = defaultdict[tuple[tuple[str, ...], bool], list[int]](list)
    for index, failure in enumerate(failures):
        groups[failure.options, failure.case == PREFLIGHT].append(index)
    found: dict[int, ReplayOutcome] = {}
    for indices in groups.values():
        together = [failures[index] for index in indices]
        results = _run([*target, *_arguments(together)])
        if isinstance(results, str) and len(together) > 1:  # a single missing case stops the whole run
            found |= {index: rerun([failures[index]], target)[0] for index in indices}
        else:
            found |= {index: _outcome(failures[index], results) for index in indices}
    return [found[index] for index in range(len(failures))]


def _arguments(failures: Sequence[Failure]) -> list[str]:
    if failures[0].case == PREFLIGHT:  # any case of the requirement runs the preflight
        names = [str(SUITE), *dict.fromkeys(f"--only={failure.requirement}" for failure in failures)]
    else:
        names = [f"{SUITE}/{name}" for name in dict.fromkeys(failure.case for failure in failures)]
    return [*failures[0].options, *names]


def _run(arguments: Sequence[str]) -> Results | str:
    """Return the results of a run of the suite, or the reason why no case ran."""
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-P", "-m", "pytest", *PYTEST_OPTIONS, "-q", "--results", str(file)]
        done = subprocess.run([*command, *arguments], capture_output=True, check=False)  # noqa: S603 - our own
        if done.returncode in (0, 1) and file.exists():
            return read_results(file)
    output = [line for line in (done.stdout + done.stderr).decode(errors="replace").splitlines() if line.strip()]
    missing = any(line.startswith(("ERROR: not found", "ERROR: file or directory not found")) for line in output)
    return "this kit has no such case" if missing else (output or ["no output"])[-1]


def _outcome(failure: Failure, results: Results | str) -> ReplayOutcome:
    if isinstance(results, str):
        return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case cannot run again: {results}")
    rows = results.requirements
    own = rows[failure.requirement].findings if failure.requirement in rows else ()
    for finding in own:
        if finding.outcome in ("failed", "warned"):
            seen = f"its case fails: expected {finding.expected}; seen: {finding.seen}"
            return ReplayOutcome(ReplayVerdict.FAILING, seen, finding.exchange)
    of_case = [finding for row in rows.values() for finding in row.findings if finding.case == failure.case]
    findings = own if failure.case == PREFLIGHT else of_case
    if findings and all(finding.outcome == "passed" for finding in findings):
        return ReplayOutcome(ReplayVerdict.FIXED, "its case passes")
    reason = next((finding.reason for finding in findings if finding.reason), "it did not finish")
    return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case: {reason}")
