"""From the end of a case to its finding and to pytest's outcome."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, KitError, NotExercised, RateLimited
from cbspec_conformance.judging.verdicts import TIME_UP, Outcome
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.runner.outcomes import Outcomes, TimeUp, findings_of, kit_errors_of, status_of
from cbspec_conformance.target.relay import RelayUnderTest
from tests.conformance.conftest import MakeTarget

FAILED, WARNED, PASSED, OBSERVED = Outcome.FAILED, Outcome.WARNED, Outcome.PASSED, Outcome.OBSERVED
UNCLEAR, UNTRIED = Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED


def item(identifier: str = "CB-TUN-001", target: RelayUnderTest | None = None) -> Any:  # noqa: ANN401 - a double
    """Return the attributes of a case that outcomes read."""
    return SimpleNamespace(
        get_closest_marker=lambda name: requirement(identifier).mark,
        funcargs={"relay": target} if target else {},
        nodeid="conformance/relay/test_x.py::test_y",
        user_properties=[],
    )


def settled(
    case: Any,  # noqa: ANN401 - a double
    error: BaseException | None = None,
    *,
    when: Any = "call",  # noqa: ANN401 - pytest's own literal
    outcomes: Outcomes | None = None,
) -> pytest.TestReport:
    """Return the report of a case that ended with `error`."""

    def run() -> None:
        if error is not None:
            raise error

    call = pytest.CallInfo.from_call(run, when, reraise=None)
    raw: Any = "passed" if error is None else "failed"
    report = pytest.TestReport(case.nodeid, ("test_x.py", 3, "test_y"), {}, raw, None, when)
    settle = (outcomes or Outcomes(Baseline())).settle
    if when == "call":
        settle(case, pytest.CallInfo.from_call(lambda: None, "setup"), report)
    settle(case, call, report)
    return report


# How a case ends, its requirement, the findings, and the outcome and category that pytest shows.
ENDS: list[tuple[BaseException | None, str, list[tuple[str, Outcome]], str, str]] = [
    (None, "CB-TUN-001", [("CB-TUN-001", PASSED)], "passed", "passed"),
    (Broken("a", "b"), "CB-TUN-001", [("CB-TUN-001", FAILED)], "failed", "failed"),
    (Broken("a", "b"), "CB-HEL-004", [("CB-HEL-004", WARNED)], "passed", "warned"),
    (
        Broken("a", "b", requirement="CB-HEL-004"), "CB-TUN-001",
        [("CB-HEL-004", WARNED), ("CB-TUN-001", UNCLEAR)], "skipped", "inconclusive",
    ),
    (Inconclusive("slow"), "CB-TUN-001", [("CB-TUN-001", UNCLEAR)], "skipped", "inconclusive"),
    (Unreachable("gone"), "CB-TUN-001", [("CB-TUN-001", UNCLEAR)], "skipped", "inconclusive"),
    (HandshakeFailure("gone"), "CB-TUN-001", [("CB-TUN-001", UNCLEAR)], "skipped", "inconclusive"),
    (NotExercised("give x"), "CB-TUN-001", [("CB-TUN-001", UNTRIED)], "skipped", "not exercised"),
    (TimeUp(), "CB-TUN-001", [("CB-TUN-001", UNTRIED)], "skipped", "not exercised"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "identifier", "findings", "shown", "category"), ENDS)
def test_every_end_has_its_outcome(
    error: BaseException | None, identifier: str, findings: list[tuple[str, Outcome]], shown: str, category: str
) -> None:
    report = settled(item(identifier), error)
    found = findings_of(report)
    assert [(finding.requirement, finding.outcome) for finding in found] == findings
    assert {finding.case for finding in found} == {"relay/test_x.py::test_y"}
    assert (report.outcome, *status_of(report)) == (shown, category, "", "")
    assert kit_errors_of(report) == []
    assert (found[0].reason == TIME_UP) is isinstance(error, TimeUp)


@pytest.mark.parametrize("error", [KitError("oops"), RateLimited("oops"), AssertionError("oops")])
def test_any_other_error_is_one_of_the_kit(error: Exception) -> None:
    report = settled(item(), error)
    assert [finding.outcome for finding in findings_of(report)] == [UNCLEAR]
    assert report.outcome == "failed"
    (text,) = kit_errors_of(report)
    assert "oops" in text
    assert "relay/test_x.py::test_y" in text
    assert kit_errors_of(settled(item(), KeyboardInterrupt())) == []


def test_a_violation_of_another_must_fails_the_first_case(simulated: Profile, make_target: MakeTarget) -> None:
    outcomes = Outcomes(Baseline())
    shown = []
    for _ in range(3):
        target = make_target(simulated)
        target.log.breach(Breach("CB-HEL-002", "a string", "a number"))
        target.log.breach(Breach("CB-HEL-004", "1.0", "2.0"))
        report = settled(item("CB-TUN-001", target), outcomes=outcomes)
        assert [finding.outcome for finding in findings_of(report)] == [PASSED, FAILED, WARNED]
        shown.append(report.outcome)
    assert shown == ["failed", "passed", "passed"]


@pytest.mark.parametrize(
    ("seen", "error", "outcomes"),
    [
        ({"after hello": "accepted", "after auth": "closed"}, None, [OBSERVED, OBSERVED]),
        ({"after hello": "accepted"}, Broken("a", "b"), [UNCLEAR, OBSERVED]),
        ({}, None, [UNCLEAR]),
    ],
)
def test_an_observation_is_no_pass_and_no_failure(
    seen: dict[str, str], error: Exception | None, outcomes: list[Outcome], make_target: MakeTarget
) -> None:
    target = make_target(Profile())
    for situation, value in seen.items():
        target.log.saw(value, of=situation)
    report = settled(item("CB-HEL-101", target), error)
    found = findings_of(report)
    assert [finding.outcome for finding in found] == outcomes
    assert {finding.aspect: finding.seen for finding in found if finding.outcome is OBSERVED} == seen
    assert status_of(report)[0] == str(outcomes[0])
