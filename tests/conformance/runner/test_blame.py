"""Which cases --only selects, and when it shows a requirement as passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec_conformance import SUITE
from cbspec_conformance.judging.verdicts import PARTIAL, TIME_UP, Finding, Outcome, of_interest
from cbspec_conformance.runner.blame import can_blame, everywhere
from tests.conformance.commands import simulator, verdict, verify

METRICS = SUITE / "relay" / "notes" / "test_metrics.py"
MODEL = SUITE / "relay" / "error_codes" / "test_limits_model.py"
FAILED, WARNED, PASSED, UNTRIED = Outcome.FAILED, Outcome.WARNED, Outcome.PASSED, Outcome.NOT_EXERCISED


@pytest.mark.parametrize(
    ("file", "own", "requirement", "expected"),
    [
        (METRICS, "CB-MET-003", "CB-MET-001", True),  # by name
        (METRICS, "CB-MET-003", "CB-MET-003", True),
        (METRICS, "CB-MET-003", "CB-MSG-004", True),  # an invariant
        (METRICS, "CB-MET-003", "CB-AUT-002", True),  # by the schema of a message
        (METRICS, "CB-MET-001", "CB-MET-003", False),
        (METRICS, "CB-MET-001", "CB-CMP-002", False),
        (MODEL, "CB-LIM-005", "CB-CON-002", True),  # by the table of the model
    ],
)
def test_a_case_can_blame(file: Path, own: str, requirement: str, expected: bool) -> None:
    assert can_blame(file, own, requirement) is expected


def test_the_shared_steps_and_invariants_are_known() -> None:
    assert {"CB-HEL-001", "CB-AUT-001", "CB-TUN-001", "CB-HBT-001", "CB-MSG-001", "CB-ROB-002"} <= everywhere()


def test_only_findings_of_interest_are_shown() -> None:
    of_own = [Finding("CB-MET-001", PASSED), Finding("CB-HEL-002", FAILED), Finding("CB-HEL-003", PASSED)]
    assert of_interest(of_own, "CB-MET-001", ["CB-MET-001"]) == of_own[:2]
    assert of_interest(of_own, "CB-HEL-003", ["CB-MET-001"]) == of_own[:1]
    assert of_interest(of_own, "CB-HEL-003", []) == of_own
    cut = Finding("CB-HEL-003", UNTRIED, "a case", TIME_UP)
    assert of_interest([cut], "CB-HEL-003", ["CB-MET-001"]) == [Finding("CB-MET-001", UNTRIED, "a case", TIME_UP)]


def test_a_requirement_that_another_case_fails_is_not_passed_by_only(tmp_path: Path) -> None:
    with simulator(tmp_path, "--deviation", "hello-version-missing") as profile:
        done = verify("--profile", str(profile), "--only", "CB-HEL-002", "-k", "compression")
    assert done.code == 1, done.text
    assert verdict(done.text, "failed") == 1


def test_its_own_cases_alone_show_no_pass() -> None:
    done = verify("--only", "CB-CMP-002", "--own-cases")
    assert done.code == 3, done.text
    assert PARTIAL in " ".join(done.text.split())
    assert verdict(done.text, "passed") == 0
