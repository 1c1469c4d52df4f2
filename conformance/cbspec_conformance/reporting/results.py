"""The results of a run as a JSON file: the verdict on every requirement."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from cbspec.catalogue.requirements import REVISION
from cbspec_conformance.judging.verdicts import Verdict
from cbspec_conformance.reporting.report import RunResult


class FindingResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finding (`cbspec_conformance.judging.verdicts`); empty members are left out of the file."""

    outcome: str
    case: str = ""
    reason: str = ""
    expected: str = ""
    seen: str = ""
    exchange: str = ""
    aspect: str = ""
    change: str = ""


class RequirementResult(msgspec.Struct, frozen=True):
    """The verdict on one requirement."""

    level: str
    outcome: str
    findings: tuple[FindingResult, ...]


class Results(msgspec.Struct, frozen=True):
    """The results of a run. Tokens are redacted in the texts."""

    target: str
    specification: str
    requirement_set: str
    transport: str
    green: bool
    properties: str
    interrupted: bool
    stale: tuple[str, ...]
    requirements: dict[str, RequirementResult]
    kit_errors: tuple[str, ...]


def results_of(run: RunResult) -> Results:
    """Return the results of a run."""
    return Results(
        target=run.subject.address,
        specification=REVISION,
        requirement_set=run.subject.requirement_set,
        transport=run.subject.transport,
        green=run.green,
        properties=run.plan,
        interrupted=run.interrupted,
        stale=tuple(run.stale),
        requirements={verdict.requirement.id: _requirement(verdict) for verdict in run.verdicts},
        kit_errors=tuple(run.kit_errors),
    )


def write_results(run: RunResult, file: Path) -> None:
    """Write the results of a run. Raises OSError."""
    text = json.dumps(msgspec.to_builtins(results_of(run)), indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def read_results(file: Path) -> Results:
    """Read the results of a run. Raises OSError, or msgspec.DecodeError if the file holds none."""
    return msgspec.json.decode(file.read_bytes(), type=Results)


def _requirement(verdict: Verdict) -> RequirementResult:
    findings = tuple(msgspec.convert(msgspec.to_builtins(finding), FindingResult) for finding in verdict.findings)
    outcome = verdict.outcome.value if verdict.outcome else "not selected"
    return RequirementResult(verdict.requirement.level.value, outcome, findings)
