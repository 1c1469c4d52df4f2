"""The results of a run for other programs: one JSON object with the verdict on every requirement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cbspec.catalogue.revision import REVISION, SET
from cbspec_conformance.judging.verdicts import Verdict
from cbspec_conformance.reporting.report import RunResult


def results_of(run: RunResult) -> dict[str, Any]:
    """Return what the report says, as a JSON object; tokens are masked in it as they are there."""
    return {
        "target": str(run.profile.target.address),
        "specification": REVISION,
        "requirement_set": SET,
        "transport": run.facts.transport,
        "green": run.green,
        "properties": run.plan,
        "interrupted": run.interrupted,
        "stale": list(run.stale),
        "requirements": {verdict.requirement.id: _verdict(verdict) for verdict in run.verdicts},
        "kit_errors": list(run.kit_errors),
    }


def write_results(run: RunResult, file: Path) -> None:
    """Write the results of a run. Raises OSError."""
    file.write_text(json.dumps(results_of(run), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    findings = [
        {name: value for name, value in finding.to_dict().items() if value and name not in ("requirement", "steps")}
        for finding in verdict.findings
    ]
    return {
        "level": verdict.requirement.level.value,
        "outcome": verdict.outcome.value if verdict.outcome else "not selected",
        "findings": findings,
    }
