"""A run in a file, as JSON Lines: a header, then each case with its records, then the end of the run."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cbspec.catalogue.requirements import REQUIREMENTS, UnknownRequirement, find
from cbspec.catalogue.revision import SET
from cbspec.profile.profile import Endpoint, Profile, TargetSettings
from cbspec.redact import redact
from cbspec_conformance.judging.case import rejudge
from cbspec_conformance.judging.findings import Finding
from cbspec_conformance.judging.verdicts import judge_run
from cbspec_conformance.record.saved import TranscriptError, rows_of, transcript_of
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.baseline import Baseline, BaselineEntry
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.target.facts import Facts

_VERSION: Final = 1

Row = dict[str, Any]


def case_row(name: str, requirement: str, transcript: Transcript) -> Row:
    """Return a case as a JSON object."""
    return {"case": name, "requirement": requirement, "records": rows_of(transcript)}


@dataclass(slots=True)
class SavedRun:
    """The content of a transcript file. `selected` holds the requirement of each selected case."""

    header: Row
    cases: list[Row] = field(default_factory=list)
    selected: Sequence[str] = ()
    kit_errors: Sequence[str] = ()
    interrupted: bool = True

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file. Raises TranscriptError, or OSError."""
        rows = list(_rows(file))
        if not rows or rows[0].get("transcript") != _VERSION:
            raise TranscriptError(f"{file}: is no transcript of `cbspec verify --transcript`, or of another version")
        end = rows[-1] if "selected" in rows[-1] else {}
        ended = (end.get("selected", ()), end.get("kit_errors", ()), end.get("interrupted", True))
        return cls(rows[0], [row for row in rows[1:] if "case" in row], *ended)

    def result(self) -> RunResult:
        """Judge the run again, with the current catalogue. Raises TranscriptError."""
        header = self.header
        try:
            facts = Facts.from_dict(header["facts"])
            entries = [BaselineEntry(**{**row, "until": _date(row["until"])}) for row in header["baseline"]]
            path = Path(header["baseline_file"]) if header["baseline_file"] else None
            known = {entry.requirement: entry for entry in entries}
            baseline = Baseline(known, datetime.date.fromisoformat(header["date"]), path)
            profile = Profile(target=TargetSettings(address=Endpoint.parse(header["target"])))
            findings = [finding for case in self.cases for finding in _findings(case, facts)]
            options = (header["fail_on_should"], header["require_all"])
            plan, narrowed = header["plan"], header["narrowed"]
        except (KeyError, TypeError, ValueError, UnknownRequirement) as error:
            raise TranscriptError(f"the transcript is invalid: {error!r}") from None
        verdicts = baseline.applied(judge_run(REQUIREMENTS, findings, self.selected))
        stale = () if narrowed else baseline.stale(verdicts)
        return RunResult(verdicts, profile, facts, *options, self.kit_errors, self.interrupted, plan, baseline, stale)


class TranscriptWriter:
    """Writes a run to a file, case by case. Methods raise OSError."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")

    def begin(self, result: RunResult, *, narrowed: bool) -> None:
        """Write the header."""
        baseline = result.baseline
        self._write(
            {
                "transcript": _VERSION,
                "target": str(result.profile.target.address),
                "requirement_set": SET,
                "facts": result.facts.to_dict(),
                "fail_on_should": result.fail_on_should,
                "require_all": result.require_all,
                "plan": result.plan,
                "narrowed": narrowed,
                "date": baseline.today.isoformat(),
                "baseline_file": str(baseline.path or ""),
                "baseline": [
                    {"requirement": e.requirement, "reason": e.reason, "link": e.link, "until": str(e.until or "")}
                    for e in baseline.entries.values()
                ],
            }
        )

    def add(self, case: Row) -> None:
        """Write a case."""
        self._write(case)

    def end(self, selected: Sequence[str], kit_errors: Sequence[str], *, interrupted: bool) -> None:
        """Write the end of the run and close the file."""
        errors = [redact(error) for error in kit_errors]
        self._write({"selected": list(selected), "kit_errors": errors, "interrupted": interrupted})
        self._file.close()

    def _write(self, row: Row) -> None:
        self._file.write(json.dumps(row) + "\n")


def _rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise TranscriptError(f"{file}: line {number} is no JSON object")
            yield row


def _date(text: str) -> datetime.date | None:
    return datetime.date.fromisoformat(text) if text else None


def _findings(case: Row, facts: Facts) -> list[Finding]:
    requirement = case["requirement"]
    if requirement:
        find(requirement)
    return rejudge(requirement, case["case"], transcript_of(case["records"]), facts.why_not)
