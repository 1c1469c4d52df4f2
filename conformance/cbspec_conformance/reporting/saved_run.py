"""A run as a file in JSON Lines: a header, the cases with their records, and the end of the run."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from cbspec.catalogue.requirements import REQUIREMENTS, SET, UnknownRequirement, find
from cbspec.profile.profile import Endpoint, Profile, TargetSettings
from cbspec.redact import redact
from cbspec_conformance.judging.case import rejudge
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import Finding, judge_run, of_interest, partial_findings
from cbspec_conformance.record.saved import TranscriptError, rows_of, transcript_of
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.baseline import Baseline, BaselineEntry
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.reporting.subject import judged_relay
from cbspec_conformance.target.facts import Facts

_VERSION: Final = 1

Row = dict[str, Any]


class RunHeader(msgspec.Struct, frozen=True):
    """The first line of a file. `transcript` is the version of the format."""

    transcript: int
    target: str
    requirement_set: str
    facts: Facts
    fail_on_should: bool
    require_all: bool
    plan: str
    narrowed: bool
    date: datetime.date
    baseline_file: str
    baseline: tuple[BaselineEntry, ...]


class RunEnd(msgspec.Struct, frozen=True):
    """The last line of a file; it is missing if the run was killed. `selected` has an id for each selected case.

    `only` holds the requirements that the run judges (none: all), `own_cases` says that only their own
    cases were selected.
    """

    selected: tuple[str, ...] = ()
    kit_errors: tuple[str, ...] = ()
    interrupted: bool = True
    only: tuple[str, ...] = ()
    own_cases: bool = False


def case_line(name: str, requirement: str, transcript: Transcript) -> str:
    """Return a case as a line of JSON, which a worker can send to the controller."""
    return json.dumps({"case": name, "requirement": requirement, "records": rows_of(transcript)})


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The content of a transcript file."""

    header: RunHeader
    cases: Sequence[Row]
    end: RunEnd

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a file. Raises TranscriptError, or OSError."""
        rows = list(_rows(file))
        if not rows or rows[0].get("transcript") != _VERSION:
            raise TranscriptError(f"{file}: not a transcript of `cbspec verify --transcript`, or of another version")
        try:
            header = msgspec.convert(rows[0], RunHeader)
            end = msgspec.convert(rows[-1] if "selected" in rows[-1] else {}, RunEnd)
        except msgspec.ValidationError as error:
            raise TranscriptError(f"{file}: {error}") from None
        return cls(header, [row for row in rows[1:] if "case" in row], end)

    def result(self) -> RunResult:
        """Recompute the verdicts with the current catalogue. Raises TranscriptError."""
        header, end = self.header, self.end
        try:
            profile = Profile(target=TargetSettings(address=Endpoint.parse(header.target)))
            findings = [finding for case in self.cases for finding in _findings(case, header.facts, end.only)]
            findings[:0] = partial_findings(end.only) if end.own_cases else []
        except (KeyError, TypeError, ValueError, UnknownRequirement) as error:
            raise TranscriptError(f"the transcript is invalid: {error!r}") from None
        known = {entry.requirement: entry for entry in header.baseline}
        baseline = Baseline(known, header.date, Path(header.baseline_file) if header.baseline_file else None)
        verdicts = baseline.applied(judge_run(REQUIREMENTS, of_a_run(findings), end.selected))
        return RunResult(
            verdicts,
            judged_relay(profile, header.facts),
            header.fail_on_should,
            header.require_all,
            end.kit_errors,
            end.interrupted,
            header.plan,
            baseline,
            () if header.narrowed else baseline.stale(verdicts),
        )


class TranscriptWriter:
    """Writes a run to a file, case by case. After an error, whose text is in `error`, nothing more is written.

    Raises OSError if the file can't be opened.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")
        self.error = ""

    def begin(self, result: RunResult, facts: Facts, *, narrowed: bool) -> None:
        """Write the header; `facts` are those of the preflight."""
        baseline = result.baseline
        header = RunHeader(
            _VERSION,
            result.subject.address,
            SET,
            facts,
            result.fail_on_should,
            result.require_all,
            result.plan,
            narrowed,
            baseline.today,
            str(baseline.path or ""),
            tuple(baseline.entries.values()),
        )
        self.add(json.dumps(msgspec.to_builtins(header)))

    def add(self, line: str) -> None:
        """Write a line: a case from `case_line`."""
        try:
            if not self._file.closed:
                self._file.write(f"{line}\n")
                self._file.flush()  # an error shows here, and not when the file is closed
        except OSError as error:
            self.error = f"{self._file.name}: {error.strerror}; the transcript is incomplete"
            with contextlib.suppress(OSError):
                self._file.close()

    def end(self, end: RunEnd, kit_errors: Sequence[str]) -> None:
        """Write the end of the run, with the kit's errors, and close the file."""
        redacted = msgspec.structs.replace(end, kit_errors=tuple(map(redact, kit_errors)))
        self.add(json.dumps(msgspec.to_builtins(redacted)))
        self._file.close()


def _rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise TranscriptError(f"{file}: line {number} is not a JSON object")
            yield row


def _findings(case: Row, facts: Facts, only: Sequence[str]) -> list[Finding]:
    own, name = case["requirement"], case["case"]
    if own:
        find(own)
    found = rejudge(own, name, transcript_of(case["records"]), facts.why_not)
    return of_interest(found, own, only)
