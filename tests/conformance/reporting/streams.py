"""Streams of results made by hand."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cbspec.catalogue.requirements import CATALOGUE, REQUIREMENTS, JudgedRole
from cbspec_conformance.judging.verdicts import Finding, judge_run
from cbspec_conformance.record.conclusions import CaseEnded, Ending
from cbspec_conformance.record.transcript import Record, Transcript
from cbspec_conformance.reporting.events import FORMAT, CaseReported, RunEnded, RunStarted
from cbspec_conformance.reporting.stream import StreamWriter, case_lines, listed
from cbspec_conformance.reporting.subject import JudgedSubject

BEGAN = datetime.datetime(2026, 11, 30, 10, tzinfo=datetime.UTC)
SUBJECT = JudgedSubject(JudgedRole.RELAY, "127.0.0.1:1", "127.0.0.1:1 (tcp)", "tcp")


def write_stream(
    file: Path,
    findings: Sequence[Finding],
    records: Sequence[Record] = (),
    *,
    ended: RunEnded | None = None,
    **members: Any,  # noqa: ANN401 - members of RunStarted
) -> Path:
    """Write a run with a case for each finding; `records` are those of each. Without `ended`, it has an end."""
    writer = StreamWriter(file)
    selected = tuple(finding.requirement for finding in findings)
    facts: dict[str, Any] = {"subject": SUBJECT, "today": BEGAN.date(), "selected": selected, **members}
    writer.write(RunStarted(FORMAT, "1.2.3", "2.0", CATALOGUE, BEGAN, **facts), *listed(REQUIREMENTS))
    for number, finding in enumerate(findings):
        transcript = Transcript(records=[*records, CaseEnded(2.0, 0, Ending.PASSED)], epoch=BEGAN.timestamp() + number)
        case = CaseReported(finding.case, finding.requirement, "Try it.", place=number)
        writer.add(case_lines(case, transcript, [finding], BEGAN.timestamp()))
    verdicts = {verdict.requirement.id: verdict.outcome for verdict in judge_run(REQUIREMENTS, findings, selected)}
    writer.write(ended or RunEnded(False, 1, 9.0, verdicts))
    writer.close()
    return file
