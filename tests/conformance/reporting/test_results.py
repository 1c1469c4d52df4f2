"""The results of a run as JSON."""

from __future__ import annotations

from pathlib import Path

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_conformance.reporting.results import read_results, results_of, write_results
from tests.conformance.reporting.test_report import FAILURE, everything_passed, run


def test_every_requirement_has_its_verdict(tmp_path: Path) -> None:
    done = run(*everything_passed(), FAILURE)
    found = results_of(done)
    assert not found.green
    assert list(found.requirements) == list(REQUIREMENTS)
    verdict = found.requirements["CB-HEL-002"]
    assert (verdict.level, verdict.outcome) == ("MUST", "failed")
    assert {finding.outcome for finding in verdict.findings} == {"passed", "failed"}
    assert verdict.findings[-1].expected == FAILURE.expected
    assert found.requirements["CB-HEL-001"].outcome == "passed"
    assert results_of(run(FAILURE)).requirements["CB-AUT-001"].outcome == "not selected"
    write_results(done, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == found
