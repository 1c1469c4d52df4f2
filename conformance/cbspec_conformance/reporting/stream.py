"""Writes and reads the stream of a run's results; `events.py` describes its lines."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import msgspec

from cbspec.catalogue.requirements import JudgedRole, Requirement, UnknownRequirement
from cbspec.catalogue.revisions import CatalogueRevision, UnknownRevision, revision
from cbspec.errors import InputError
from cbspec_conformance.judging.case import rejudge
from cbspec_conformance.judging.follow_ups import of_a_run
from cbspec_conformance.judging.verdicts import (
    Finding,
    Outcome,
    Verdict,
    judge_run,
    of_interest,
    partial_findings,
    worst,
)
from cbspec_conformance.record.conclusions import CaseEnded, Concluded, Ending, Entry, Judged
from cbspec_conformance.record.identifiers import identifiers_of
from cbspec_conformance.record.saved import TranscriptError, rows_of, transcript_of
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.reporting.events import (
    FORMAT,
    CaseReported,
    Event,
    ExchangeSeen,
    FindingMade,
    MachineLearned,
    RequirementListed,
    RunEnded,
    RunStarted,
)
from cbspec_conformance.reporting.pinning import pinned
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.target.facts import Facts

Row = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()
_CONCLUDES: Final = (Concluded.__name__, Judged.__name__)
_WRITTEN_BY: Final = "cbspec verify, verify-client and learn write one with --results FILE"


class StreamError(InputError):
    """A file holds no usable results; the text names file, line and fault."""


# ------------------------------------------------------------------ writing


class StreamWriter:
    """Writes events to a file, each as a line. After an error, whose text is in `error`, nothing more is written.

    Raises OSError if the file can't be opened.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb", buffering=0)
        self.error = ""

    def write(self, *events: Event) -> None:
        """Write events."""
        self.add(b"".join(map(line_of, events)))

    def add(self, lines: bytes) -> None:
        """Write lines, from `case_lines`."""
        left = memoryview(lines)
        try:
            while left and not self._file.closed:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = f"{self._file.name}: {error.strerror}; the results are incomplete"
            self.close()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()


def line_of(event: Event) -> bytes:
    """Return an event as a line of JSON."""
    try:
        return _ENCODER.encode(event) + b"\n"
    except (ValueError, OverflowError):  # a message has a lone surrogate, or an integer of more than 64 bits
        return json.dumps(_finite(msgspec.to_builtins(event)), separators=(",", ":")).encode() + b"\n"


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with null in place of numbers that JSON doesn't have."""
    match value:
        case dict():
            return {name: _finite(inner) for name, inner in value.items()}
        case list():
            return [_finite(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
    return value


def listed(requirements: Mapping[str, Requirement]) -> list[RequirementListed]:
    """Return the events that list requirements."""
    return [
        RequirementListed(**{name: getattr(row, name) for name in RequirementListed.__struct_fields__})
        for row in requirements.values()
    ]


def case_lines(case: CaseReported, transcript: Transcript, findings: Sequence[Finding], began: float) -> bytes:
    """Return the lines of a relay's case, which a worker can send to the controller.

    `case` has what the transcript doesn't tell. `began` is the time of the run's begin in seconds since 1970. A
    requirement of "" is that of the preflight.
    """
    ended = transcript.records[-1] if transcript.records else Entry(0.0, 0)
    traces = identifiers_of(transcript)
    outcome = worst(each.outcome for each in findings if each.requirement == case.requirement or not case.requirement)
    if isinstance(ended, CaseEnded) and ended.ending is Ending.KIT_ERROR:
        outcome = None
    elif not case.requirement:
        outcome = outcome or Outcome.PASSED
    case = msgspec.structs.replace(
        case,
        outcome=outcome,
        at=round(max(0.0, transcript.epoch - began), 3),
        seconds=round(ended.at, 3),
        cost=transcript.cost,
        sources=tuple(dict.fromkeys(connection.source for connection in traces.connections)),
        identifiers=(*traces.tunnels, *traces.subjects),
    )
    return lines_of_a_case(case, split(rows_of(transcript)), findings)


def lines_of_a_case(case: CaseReported, exchanges: Iterable[Sequence[Row]], findings: Iterable[Finding]) -> bytes:
    """Return the lines of a case: its own, those of its exchanges, and those of its findings."""
    events: list[Event] = [case]
    first = 0
    for records in exchanges:
        events.append(ExchangeSeen(case.name, first, tuple(records)))
        first += len(records)
    events += map(made, findings)
    return b"".join(map(line_of, events))


def split(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the records of each exchange: up to its conclusion and judgements, and those after the last one."""
    begin = 0
    for place in range(1, len(rows)):
        if rows[place - 1]["record"] in _CONCLUDES and rows[place]["record"] not in _CONCLUDES:
            yield rows[begin:place]
            begin = place
    if rows[begin:]:
        yield rows[begin:]


def made(finding: Finding) -> FindingMade:
    """Return the event of a finding."""
    return FindingMade(**{name: getattr(finding, name) for name in FindingMade.__struct_fields__})


# ------------------------------------------------------------------ reading


@dataclass(slots=True)
class RecordedCase:
    """A case with its findings, and its exchanges at the `offsets` of a file: a long run has gigabytes of them."""

    event: CaseReported
    file: Path
    offsets: list[int] = field(default_factory=list)
    findings: list[FindingMade] = field(default_factory=list)

    @property
    def exchanges(self) -> list[ExchangeSeen]:
        """The case's exchanges, read from the file. Raises OSError."""
        if not self.offsets:
            return []
        with self.file.open("rb") as lines:
            return [msgspec.convert(json.loads(_line_at(lines, offset)), ExchangeSeen) for offset in self.offsets]

    @property
    def records(self) -> list[Row]:
        """The case's transcript, as rows. Raises OSError."""
        return [row for exchange in self.exchanges for row in exchange.records]


@dataclass(frozen=True)
class RecordedRun:
    """A run, as its stream has it so far. `ended` is None if the run is going on or was killed.

    `findings` are those that belong to no case. `against` is an earlier run to compare with. `machine` is that of the
    relay, if the run learned it.
    """

    started: RunStarted
    requirements: Mapping[str, Requirement]
    cases: Sequence[RecordedCase]
    findings: Sequence[FindingMade] = ()
    ended: RunEnded | None = None
    against: RecordedRun | None = None
    machine: MachineLearned | None = None

    @classmethod
    def load(cls, file: Path, against: Path | None = None) -> Self:
        """Read a stream; the last line may be incomplete. Raises StreamError, or OSError."""
        started: RunStarted | None = None
        rows: dict[str, Requirement] = {}
        cases: list[RecordedCase] = []
        loose: list[FindingMade] = []
        ended = machine = None
        for number, offset, event in _events(file):
            match event:
                case RunStarted() if number == 1:
                    started = event
                case RequirementListed():
                    rows[event.id] = _row(event)
                case CaseReported():
                    cases.append(RecordedCase(event, file))
                case FindingMade() if not event.case:
                    loose.append(event)
                case FindingMade() if cases:
                    cases[-1].findings.append(event)
                case ExchangeSeen() if cases:
                    cases[-1].offsets.append(offset)
                case MachineLearned():
                    machine = event
                case RunEnded():
                    ended = event
                case _:
                    raise StreamError(f"{file}: line {number} is out of place: damaged")
        if started is None:
            raise StreamError(f"{file}: not a stream of results, or it has not begun; {_WRITTEN_BY}")
        cases.sort(key=lambda case: case.event.place)
        earlier = None if against is None else RecordedRun.load(against)
        return cls(started, rows, cases, loose, ended, earlier, machine)

    @cached_property
    def judged(self) -> list[Finding]:
        """The findings of the run, with those that follow from others marked."""
        return of_a_run(
            [
                *(partial_findings(self.started.only) if self.started.own_cases else ()),
                *(_finding(event) for case in self.cases for event in case.findings),
                *map(_finding, self.findings),
            ]
        )

    @cached_property
    def findings_by_case(self) -> list[tuple[RecordedCase, list[Finding]]]:
        """The cases, each with its part of `judged`."""
        left = iter(self.judged[len(self.started.only) if self.started.own_cases else 0 :])
        return [(case, list(islice(left, len(case.findings)))) for case in self.cases]

    @cached_property
    def baseline(self) -> Baseline:
        """The known failures."""
        started = self.started
        known = {entry.requirement: entry for entry in started.baseline}
        return Baseline(known, started.today, Path(started.baseline_file) if started.baseline_file else None)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdict on each requirement, with the known failures marked."""
        return self.baseline.applied(judge_run(self.requirements, self.judged, self.started.selected))

    @cached_property
    def result(self) -> RunResult:
        """The result for the report on the terminal."""
        started, ended = self.started, self.ended
        return RunResult(
            self.verdicts,
            started.subject,
            started.fail_on_should,
            started.require_all,
            ended.kit_errors if ended is not None else (),
            ended is None or ended.interrupted,
            started.plan,
            self.baseline,
            () if started.narrowed else self.baseline.stale(self.verdicts),
            command=started.command,
            catalogue=CatalogueRevision(started.catalogue, self.requirements),
            costs={case.event.name: case.event.cost for case in self.cases if case.event.cost is not None},
            observed_only=started.learning,
        )

    def rejudged(self) -> RecordedRun:
        """Return the run with findings that this kit gives for its transcripts. Raises StreamError."""
        if self.started.subject.role is not JudgedRole.RELAY:
            raise StreamError("the verdicts on a client can't be recomputed: cbspec report shows them")
        facts = self.started.facts or Facts()
        try:
            catalogue = revision(self.started.catalogue)
            cases = [self._rejudged(case, facts, catalogue) for case in self.cases]
        except UnknownRevision as error:
            raise StreamError(str(error)) from None
        except (TranscriptError, LookupError, TypeError, ValueError) as error:
            raise StreamError(f"the results are damaged: {error!r}") from None
        return replace(self, requirements=catalogue.of(JudgedRole.RELAY), cases=cases)

    def _rejudged(self, case: RecordedCase, facts: Facts, catalogue: CatalogueRevision) -> RecordedCase:
        own, name = case.event.requirement, case.event.name
        if own and own not in catalogue.requirements:
            raise UnknownRequirement(own, catalogue.requirements)
        found = pinned(rejudge(own, name, transcript_of(case.records), facts.why_not), catalogue)
        findings = list(map(made, of_interest(found, own, self.started.only)))
        return replace(case, findings=findings)


def _events(file: Path) -> Iterator[tuple[int, int, Event]]:
    """Yield the number of each line, its offset and its event. Raises StreamError, or OSError."""
    offset = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):  # the run was killed while it wrote the line, or is writing it
                return
            try:
                value = json.loads(line)
                if number == 1:
                    _check_format(value)
                event: Event = msgspec.convert(value, Event)
            except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                told = f"; {_WRITTEN_BY}" if number == 1 else ""
                raise StreamError(f"{file}: line {number} is not an event of a run: {error}{told}") from None
            yield number, offset, event
            offset += len(line)


def _line_at(lines: BinaryIO, offset: int) -> bytes:
    lines.seek(offset)
    return lines.readline()


def _check_format(value: object) -> None:
    if not isinstance(value, dict) or value.get("event") != "run":
        raise ValueError(f"not a stream of results; {_WRITTEN_BY}")
    if value.get("format") != FORMAT:
        raise ValueError(f"it has format {value.get('format')}, and this version of cbspec reads format {FORMAT}")


def _row(event: RequirementListed) -> Requirement:
    names = {*Requirement.__struct_fields__} & {*RequirementListed.__struct_fields__}
    return Requirement(**{name: getattr(event, name) for name in names})


def _finding(event: FindingMade) -> Finding:
    return Finding(**{name: getattr(event, name) for name in FindingMade.__struct_fields__})
