"""From the end of a case to its finding and to pytest's outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import Broken, Inconclusive, KitError, NotExercised, RateLimited
from cbspec_conformance.judging.verdicts import TIME_UP, Outcome
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.reporting.baseline import Baseline
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.runner.outcomes import (
    Outcomes,
    TimeUp,
    case_name,
    findings_of,
    kit_errors_of,
    requirement_of,
    status_of,
)
from cbspec_conformance.target.relay import RelayUnderTest
from tests.conformance.conftest import MakeTarget


@dataclass
class Item:
    """The attributes of a case that outcomes read."""

    mark: pytest.Mark | None
    funcargs: dict[str, object] = field(default_factory=dict)
    nodeid: str = "conformance/relay/test_x.py::test_y"
    user_properties: list[tuple[str, object]] = field(default_factory=list)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.mark if self.mark is not None and self.mark.name == name else None


def item(identifier: str = "CB-TUN-001", target: RelayUnderTest | None = None) -> pytest.Item:
    made = Item(requirement(identifier).mark, {"relay": target} if target else {})
    return cast(pytest.Item, made)


def settled(
    case: pytest.Item,
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
    raw = "passed" if error is None else "failed"
    report = pytest.TestReport(case.nodeid, ("test_x.py", 3, "test_y"), {}, raw, None, when)  # type: ignore[arg-type] # a literal
    (outcomes or Outcomes(Baseline())).settle(case, call, report)
    return report


ENDS: dict[str, tuple[BaseException | None, str, Outcome, str, str]] = {
    # error, requirement, finding, pytest's outcome, category
    "passed": (None, "CB-TUN-001", Outcome.PASSED, "passed", ""),
    "a MUST broken": (Broken("a", "b"), "CB-TUN-001", Outcome.FAILED, "failed", ""),
    "a SHOULD broken": (Broken("a", "b"), "CB-HEL-004", Outcome.WARNED, "passed", "warned"),
    "inconclusive": (Inconclusive("slow"), "CB-TUN-001", Outcome.INCONCLUSIVE, "skipped", "inconclusive"),
    "unreachable": (Unreachable("gone"), "CB-TUN-001", Outcome.INCONCLUSIVE, "skipped", "inconclusive"),
    "no handshake": (HandshakeFailure("gone"), "CB-TUN-001", Outcome.INCONCLUSIVE, "skipped", "inconclusive"),
    "not exercised": (NotExercised("give x"), "CB-TUN-001", Outcome.NOT_EXERCISED, "skipped", "not exercised"),
    "time up": (TimeUp(), "CB-TUN-001", Outcome.NOT_EXERCISED, "skipped", "not exercised"),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_has_its_outcome(end: str) -> None:
    error, identifier, outcome, shown, word = ENDS[end]
    report = settled(item(identifier), error)
    report.user_properties.append(("requirement", identifier))
    (finding,) = findings_of(report)
    assert (finding.requirement, finding.outcome, finding.case) == (identifier, outcome, "relay/test_x.py::test_y")
    assert report.outcome == shown
    assert kit_errors_of(report) == []
    status = status_of(report)
    assert (status[0] if status else "") == word
    if end == "time up":
        assert finding.reason == TIME_UP


@pytest.mark.parametrize("error", [KitError("oops"), RateLimited("oops"), AssertionError("oops")])
def test_any_other_error_is_one_of_the_kit(error: Exception) -> None:
    report = settled(item(), error)
    assert [finding.outcome for finding in findings_of(report)] == [Outcome.INCONCLUSIVE]
    assert report.outcome == "failed"
    (text,) = kit_errors_of(report)
    assert "oops" in text
    assert case_name(item()) == "relay/test_x.py::test_y" in text
    assert kit_errors_of(settled(item(), KeyboardInterrupt())) == []


def test_findings_belong_to_setup_or_call_and_never_to_teardown() -> None:
    case = item()
    failed = settled(case, NotExercised("give x"), when="setup")
    assert [finding.outcome for finding in findings_of(failed)] == [Outcome.NOT_EXERCISED]
    assert failed.user_properties == [("requirement", "CB-TUN-001")]
    settled(case, when="call")
    torn_down = settled(case, when="teardown")
    assert findings_of(torn_down) == []
    assert torn_down.user_properties == [("requirement", "CB-TUN-001")]
    assert requirement_of(cast(pytest.Item, Item(None))) == ""


def test_a_violation_of_another_requirement_is_attributed_to_it() -> None:
    found = findings_of(settled(item("CB-TUN-001"), Broken("a", "b", requirement="CB-HEL-004")))
    assert [(finding.requirement, finding.outcome) for finding in found] == [
        ("CB-HEL-004", Outcome.WARNED),
        ("CB-TUN-001", Outcome.INCONCLUSIVE),
    ]


def test_a_violation_of_another_must_fails_the_first_case(simulated: Profile, make_target: MakeTarget) -> None:
    outcomes = Outcomes(Baseline())
    shown = []
    for _ in range(3):
        target = make_target(simulated)
        target.log.breach(Breach("CB-HEL-002", "a string", "a number"))
        target.log.breach(Breach("CB-HEL-004", "1.0", "2.0"))
        report = settled(item("CB-TUN-001", target), outcomes=outcomes)
        assert [(f.requirement, f.outcome) for f in findings_of(report)] == [
            ("CB-TUN-001", Outcome.PASSED),
            ("CB-HEL-002", Outcome.FAILED),
            ("CB-HEL-004", Outcome.WARNED),
        ]
        shown.append(report.outcome)
    assert shown == ["failed", "passed", "passed"]


@pytest.mark.parametrize(
    ("seen", "error", "outcomes"),
    [
        ({"after hello": "accepted", "after auth": "closed"}, None, [Outcome.OBSERVED, Outcome.OBSERVED]),
        ({"after hello": "accepted"}, Broken("a", "b"), [Outcome.INCONCLUSIVE, Outcome.OBSERVED]),
        ({}, None, [Outcome.INCONCLUSIVE]),
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
    assert {finding.aspect: finding.seen for finding in found if finding.outcome is Outcome.OBSERVED} == seen
    assert report.outcome != "failed" or not seen
    if outcomes[0] is Outcome.OBSERVED:
        report.user_properties.append(("requirement", "CB-HEL-101"))
        assert (status_of(report) or ("",))[0] == "observed"
