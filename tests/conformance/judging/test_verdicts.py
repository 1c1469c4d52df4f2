"""From findings to verdicts, as properties and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import REQUIREMENTS, Level, Requirement
from cbspec_conformance.judging.verdicts import (
    CUT_SHORT,
    TIME_UP,
    Finding,
    Outcome,
    Verdict,
    is_green,
    judge_run,
    spoils,
)

FAILED, WARNED, PASSED = Outcome.FAILED, Outcome.WARNED, Outcome.PASSED
UNCLEAR, UNTRIED = Outcome.INCONCLUSIVE, Outcome.NOT_EXERCISED


def row(level: Level, number: int = 1) -> Requirement:
    """Return a requirement of this level."""
    return Requirement(f"CB-HEL-{number:03}", level, "Message Types / 1. Hello", "demand", "why")


CATALOGUE: Final[Mapping[str, Requirement]] = {
    each.id: each for each in (row(Level.MUST, 1), row(Level.MUST, 2), row(Level.SHOULD, 3), row(Level.INFO, 4))
}
IDS = st.sampled_from(list(CATALOGUE))
REASONS = st.sampled_from(["give tenants.rate", TIME_UP, CUT_SHORT, ""])
FINDING = st.one_of(
    st.builds(
        Finding,
        IDS,
        st.sampled_from([each for each in Outcome if each not in (UNTRIED, Outcome.KNOWN)]),
        st.text(max_size=3),
    ),
    st.builds(Finding, IDS, st.just(UNTRIED), st.text(max_size=3), REASONS),
)
FINDINGS = st.lists(FINDING, max_size=8)
SWITCHES = st.fixed_dictionaries({"fail_on_should": st.booleans(), "require_all": st.booleans()})


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    """Return the verdicts on the small catalogue, with every requirement selected."""
    return {verdict.requirement.id: verdict for verdict in judge_run(CATALOGUE, findings, list(CATALOGUE))}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([FAILED, PASSED, PASSED], FAILED),
        ([PASSED, UNCLEAR], UNCLEAR),
        ([PASSED, UNTRIED], PASSED),
        ([FAILED, UNCLEAR, UNTRIED, PASSED, WARNED], FAILED),
    ],
)
def test_the_worst_finding_is_the_verdict(outcomes: list[Outcome], expected: Outcome) -> None:
    found = verdicts([Finding("CB-HEL-001", outcome) for outcome in outcomes])
    assert found["CB-HEL-001"].outcome is expected


# Whether each outcome at each level spoils a run: as it is, with --fail-on=should, with --require-all.
SPOILS: Final[dict[tuple[Level, Outcome | None, str], tuple[bool, bool, bool]]] = {
    (Level.MUST, PASSED, ""): (False, False, False),
    (Level.MUST, FAILED, ""): (True, True, True),
    (Level.MUST, WARNED, ""): (False, True, False),
    (Level.MUST, UNCLEAR, "slow"): (True, True, True),
    (Level.MUST, UNTRIED, "give tenants.rate"): (False, False, True),
    (Level.MUST, UNTRIED, TIME_UP): (True, True, True),
    (Level.MUST, None, ""): (False, False, False),  # the report treats a run without a verdict as an error
    (Level.SHOULD, WARNED, ""): (False, True, False),
    (Level.SHOULD, UNCLEAR, "slow"): (False, False, False),
    (Level.SHOULD, UNTRIED, TIME_UP): (False, False, False),
    (Level.INFO, UNCLEAR, "slow"): (False, False, False),
}


@pytest.mark.parametrize(("level", "outcome", "reason"), SPOILS, ids=lambda value: str(value) or "-")
def test_outcomes_that_spoil_a_run(level: Level, outcome: Outcome | None, reason: str) -> None:
    each = row(level, 2)  # not one of the core requirements, which may not be untried
    findings = () if outcome is None else (Finding(each.id, outcome, reason=reason),)
    verdict = Verdict(each, outcome, findings)
    plain, fail_on_should, require_all = SPOILS[level, outcome, reason]
    assert spoils(verdict) is plain
    assert spoils(verdict, fail_on_should=True) is fail_on_should
    assert spoils(verdict, require_all=True) is require_all
    core = REQUIREMENTS["CB-TUN-001"]
    assert spoils(Verdict(core, UNTRIED, (Finding(core.id, UNTRIED, reason="give tokens.secret"),)))


@given(findings=FINDINGS, switches=SWITCHES, where=st.integers(0, 8), outcome=st.sampled_from([FAILED, UNCLEAR]))
def test_failed_or_inconclusive_must_is_never_green(
    findings: list[Finding], switches: dict[str, bool], where: int, outcome: Outcome
) -> None:
    # A warning outranks an inconclusive finding, and a MUST never warns.
    kept = [each for each in findings if each.outcome is not WARNED or each.requirement != "CB-HEL-001"]
    kept.insert(where, Finding("CB-HEL-001", outcome))
    assert not is_green(verdicts(kept).values(), **switches)


@given(outcomes=st.lists(st.sampled_from([PASSED, UNTRIED]), max_size=4), missing=st.integers(1, 3))
def test_requirement_with_a_missing_case_is_no_pass(outcomes: list[Outcome], missing: int) -> None:
    findings = [Finding("CB-HEL-001", outcome) for outcome in outcomes]
    (verdict, *_) = judge_run(CATALOGUE, findings, ["CB-HEL-001"] * (len(findings) + missing))
    assert verdict.outcome is UNTRIED
    assert spoils(verdict)


def test_reasons_belong_to_the_verdict_without_duplicates() -> None:
    findings = [
        Finding("CB-HEL-001", UNTRIED, reason="give a"),
        Finding("CB-HEL-001", UNTRIED, reason="give b"),
        Finding("CB-HEL-001", UNTRIED, reason="give a"),
    ]
    assert verdicts(findings)["CB-HEL-001"].reasons == ["give a", "give b"]
    assert verdicts([*findings, Finding("CB-HEL-001", UNCLEAR, reason="slow")])["CB-HEL-001"].reasons == ["slow"]
    assert verdicts([*findings, Finding("CB-HEL-001", PASSED)])["CB-HEL-001"].reasons == []
