"""The results of a run as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_conformance.reporting.results import results_of, write_results
from tests.conformance.reporting.test_report import FAILURE, everything_passed, run


def test_every_requirement_has_its_verdict() -> None:
    found = results_of(run(*everything_passed(), FAILURE))
    assert not found["green"]
    assert list(found["requirements"]) == list(REQUIREMENTS)
    verdict = found["requirements"]["CB-HEL-002"]
    assert (verdict["level"], verdict["outcome"]) == ("MUST", "failed")
    assert {finding["outcome"] for finding in verdict["findings"]} == {"passed", "failed"}
    assert verdict["findings"][-1]["expected"] == FAILURE.expected
    assert found["requirements"]["CB-HEL-001"]["outcome"] == "passed"


def test_what_was_not_selected_says_so() -> None:
    assert results_of(run(FAILURE))["requirements"]["CB-AUT-001"]["outcome"] == "not selected"


def test_the_file_is_json(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_results(run(*everything_passed()), file)
    assert json.loads(file.read_text()) == results_of(run(*everything_passed()))
