"""The results of a run as plain data, for comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cbspec_conformance.reporting.stream import RecordedRun


def results_of(run: RecordedRun | Path) -> dict[str, Any]:
    """Return whether a run is green, the kit's errors, and level, outcome and findings of each requirement."""
    run = RecordedRun.load(run) if isinstance(run, Path) else run
    return {
        "green": run.result.green,
        "kit_errors": list(run.result.kit_errors),
        "requirements": {
            verdict.requirement.id: {
                "level": str(verdict.requirement.level),
                "outcome": str(verdict.outcome or "not selected"),
                "findings": [msgspec.to_builtins(finding) for finding in verdict.findings],
            }
            for verdict in run.verdicts
        },
    }
