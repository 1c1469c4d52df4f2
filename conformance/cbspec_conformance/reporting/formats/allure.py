"""Results for Allure: a file for each case, with its exchange as an attachment, also if it passed."""

from __future__ import annotations

from typing import Any, Final

from cbspec.catalogue.requirements import CHAPTERS, Level
from cbspec_conformance.record.exchange import exchanges
from cbspec_conformance.record.render import render as text_of
from cbspec_conformance.record.saved import transcript_of
from cbspec_conformance.reporting.formats.cases import CaseStatus, ReportedCase, cases_of
from cbspec_conformance.reporting.formats.texts import digest, json_bytes, milliseconds, run_id, subject_facts
from cbspec_conformance.reporting.stream import RecordedCase, RecordedRun

_STATUS: Final = {CaseStatus.ERROR: "broken"}
_SEVERITY: Final = {Level.MUST: "critical", Level.SHOULD: "normal", Level.INFO: "trivial"}
_CATEGORIES: Final = (
    {"name": "A requirement is broken", "matchedStatuses": ["failed"]},
    {"name": "No verdict: inconclusive, unfinished, or an error of the kit", "matchedStatuses": ["broken"]},
    {"name": "Known failures", "matchedStatuses": ["skipped"], "messageRegex": "known: .*"},
    {"name": "Not exercised", "matchedStatuses": ["skipped"]},
)


def render(run: RecordedRun) -> dict[str, bytes]:
    """Return the files of the folder by name."""
    facts = "".join(f"{name.replace(' ', '_')}={_one_line(value)}\n" for name, value in subject_facts(run))
    files = {
        "environment.properties": facts.encode("utf-8", "backslashreplace"),
        "categories.json": json_bytes(_CATEGORIES),
    }
    recorded = {case.event.name: case for case in run.cases}
    for case in cases_of(run):
        name = run_id(run, case.case, case.name)
        result = _result(run, case, name)
        if text := case.detail or _exchange(recorded.get(case.case)):
            source = f"{name}-attachment.txt"
            result["attachments"] = [{"name": "exchange", "source": source, "type": "text/plain"}]
            files[source] = text.encode("utf-8", "backslashreplace")
        files[f"{name}-result.json"] = json_bytes(result)
    return files


def _result(run: RecordedRun, case: ReportedCase, name: str) -> dict[str, Any]:
    row = case.row
    labels = {"framework": "cbspec", "epic": f"CloudBridge {run.started.subject.role}"}
    labels |= {"suite": case.group, "parentSuite": labels["epic"]}
    if row is not None:
        labels |= {"feature": CHAPTERS.get(row.chapter, row.chapter), "story": f"{row.id} {row.demand}"}
        labels |= {"severity": _SEVERITY[row.level], "tag": str(row.level), "subSuite": row.id}
    facts = [{"name": key, "value": value, "excluded": True} for key, value in case.facts]
    result = {
        "uuid": name,
        "historyId": digest(case.case, case.name),
        "testCaseId": digest(case.case),
        "fullName": case.case,
        "name": case.name,
        "description": case.about,
        "status": _STATUS.get(case.status, str(case.status)),
        "stage": "finished",
        "start": milliseconds(run, case.at),
        "stop": milliseconds(run, case.at + case.seconds),
        "labels": [{"name": key, "value": value} for key, value in labels.items() if value],
        "parameters": facts,
    }
    if case.message:
        known = case.message.startswith("known: ")
        result["statusDetails"] = {"message": case.message, "trace": case.detail, "known": known}
    return {key: value for key, value in result.items() if value not in ("", [])}


def _exchange(case: RecordedCase | None) -> str:
    """Return the last exchange of a relay's case with what was before it, or ""."""
    if case is None or any(row["record"] == "Output" for row in case.records):
        return ""
    transcript = transcript_of(case.records)
    return text_of(transcript, list(exchanges(transcript).values())[-1:])


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\")
