"""The Common Test Report Format, a JSON format of test results with a schema of its own (ctrf.io)."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from cbspec.catalogue.requirements import CHAPTERS
from cbspec_conformance.reporting.formats.cases import CaseStatus, ReportedCase, cases_of
from cbspec_conformance.reporting.formats.texts import json_bytes, milliseconds, run_id, subject_facts
from cbspec_conformance.reporting.stream import RecordedRun

_VERSION: Final = "0.0.0"  # of the format
_STATUS: Final = {CaseStatus.PASSED: "passed", CaseStatus.SKIPPED: "skipped"}
"""Everything else has failed: tools that act on the number of failures must not take an error for a pass."""


def render(run: RecordedRun) -> bytes:
    """Return the report."""
    tests = [_test(run, case) for case in cases_of(run)]
    found = Counter(str(test["status"]) for test in tests)
    ended = run.ended
    summary: dict[str, Any] = {
        "tests": len(tests),
        **{status: found[status] for status in ("passed", "failed", "skipped", "pending", "other")},
        "start": milliseconds(run, 0.0),
        "stop": milliseconds(run, ended.seconds if ended is not None else 0.0),
        "extra": {"green": run.result.green, "exitCode": ended.exit_code if ended is not None else None},
    }
    return json_bytes(
        {
            "reportFormat": "CTRF",
            "specVersion": _VERSION,
            "reportId": run_id(run),
            "timestamp": run.started.began.isoformat(),
            "generatedBy": f"cbspec {run.started.kit}",
            "results": {
                "tool": {"name": "cbspec", "version": run.started.kit},
                "summary": summary,
                "tests": tests,
                "environment": {"appName": run.started.subject.name, "extra": dict(subject_facts(run))},
            },
        }
    )


def _test(run: RecordedRun, case: ReportedCase) -> dict[str, Any]:
    row = case.row
    chapter = [CHAPTERS.get(row.chapter, row.chapter), row.id] if row is not None else []
    test = {
        "name": case.name,
        "status": _STATUS.get(case.status, "failed"),
        "rawStatus": case.status,
        "duration": round(1000 * case.seconds),
        "start": milliseconds(run, case.at),
        "stop": milliseconds(run, case.at + case.seconds),
        "suite": chapter or [case.group],
        "message": case.message,
        "trace": case.detail,
        "filePath": case.group,
        "tags": [row.id, str(row.level)] if row is not None else [],
        "extra": {**({"section": row.section, "demand": row.demand} if row is not None else {}), "about": case.about}
        | dict(case.facts),
    }
    return {name: value for name, value in test.items() if value not in ("", [])}
