"""Runs the case of a failure again, in a process of its own: for what can't be played or wasn't seen so."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.failures.failure import Failure
from cbspec_conformance.replay.outcome import ReplayOutcome, ReplayVerdict

_BROKEN = ("failed", "warned")
PREFLIGHT = "preflight"
"""What stands for a case's name where the failure was seen before any case ran."""


def rerun(failures: Sequence[Failure], target: Sequence[str]) -> list[ReplayOutcome]:
    """Run the cases of all failures and say of each what came out; `target` are the options that name the relay."""
    found: dict[int, ReplayOutcome] = {}
    for indices in _runs(failures):
        of = [failures[index] for index in indices]
        results, trouble = _run([*target, *_arguments(of)])
        if trouble and len(of) > 1:  # one case that isn't there keeps the others from running
            found.update((index, rerun([failures[index]], target)[0]) for index in indices)
        else:
            found.update((index, _outcome(failures[index], results, trouble)) for index in indices)
    return [found[index] for index in range(len(failures))]


def _runs(failures: Sequence[Failure]) -> Iterable[list[int]]:
    """Return the failures that one run can tell of together, for as few runs as will do."""
    together: dict[tuple[tuple[str, ...], bool], list[int]] = {}
    for index, failure in enumerate(failures):
        together.setdefault((failure.options, failure.case == PREFLIGHT), []).append(index)
    return together.values()


def _arguments(failures: Sequence[Failure]) -> list[str]:
    if failures[0].case == PREFLIGHT:  # it belongs to no case: every case of the requirement will do
        names = [str(SUITE), *dict.fromkeys(f"--only={failure.requirement}" for failure in failures)]
    else:
        names = [f"{SUITE}/{name}" for name in dict.fromkeys(failure.case for failure in failures)]
    return [*failures[0].options, *names]


def _run(arguments: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """Return the results of a run of the suite, or {} and why no case ran."""
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
        file = Path(folder) / "results.json"
        command = [sys.executable, "-P", "-m", "pytest", *PYTEST_OPTIONS, "-q", "--results", str(file)]
        done = subprocess.run([*command, *arguments], capture_output=True, check=False)  # noqa: S603 - our own
        if done.returncode in (0, 1) and file.exists():
            return json.loads(file.read_text(encoding="utf-8")), ""
    said = [line for line in (done.stdout + done.stderr).decode(errors="replace").splitlines() if line.strip()]
    missing = next((line for line in said if line.startswith("ERROR: not found")), "")
    return {}, "this kit has no such case" if missing else (said or ["the suite said nothing"])[-1]


def _outcome(failure: Failure, results: Mapping[str, Any], trouble: str) -> ReplayOutcome:
    if not results:
        return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case can't be run again: {trouble}")
    rows: Mapping[str, Any] = results["requirements"]
    own = rows.get(failure.requirement, {}).get("findings", ())
    for finding in own:
        if finding["outcome"] in _BROKEN:
            seen = f"expected {finding['expected']}; seen: {finding['seen']}"
            return ReplayOutcome(ReplayVerdict.FAILING, f"its case fails: {seen}", finding.get("exchange", ""))
    if failure.case == PREFLIGHT:
        mine = list(own)
    else:
        mine = [f for row in rows.values() for f in row["findings"] if f.get("case") == failure.case]
    if mine and all(finding["outcome"] == "passed" for finding in mine):
        return ReplayOutcome(ReplayVerdict.FIXED, "its case passes")
    reason = next((finding["reason"] for finding in mine if finding.get("reason")), "its case came to no end")
    return ReplayOutcome(ReplayVerdict.UNCLEAR, f"its case: {reason}")
