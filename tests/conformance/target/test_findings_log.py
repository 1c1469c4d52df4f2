"""Violations of other requirements during a case become findings about those requirements."""

from __future__ import annotations

import pytest

from cbspec_conformance.failures.recipes import Recipes
from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.target.findings_log import FindingsLog
from tests.conformance.build import HELLO, HELLO_RESPONSE, TUNNEL, TUNNEL_RESPONSE, exchange

BAD_HELLO = {**HELLO_RESPONSE, "version": 1}


@pytest.fixture
def log() -> FindingsLog:
    return FindingsLog(Transcript(), "relay/test_x.py::test_y", "", Recipes())


def test_level_decides_between_failed_and_warned(log: FindingsLog) -> None:
    log.observe(exchange(TUNNEL, TUNNEL_RESPONSE))
    for _ in range(2):  # the same breach is reported once
        log.observe(exchange(HELLO, BAD_HELLO))
    log.observe(exchange(HELLO, {**HELLO_RESPONSE, "version": "2.0"}))
    assert [(finding.requirement, finding.outcome, finding.case) for finding in log.findings] == [
        ("CB-HEL-002", Outcome.FAILED, "relay/test_x.py::test_y"),
        ("CB-HEL-004", Outcome.WARNED, "relay/test_x.py::test_y"),
    ]
    log.breach(Breach("CB-AUT-016", "no tunnel", "a tunnel"))
    assert (log.findings[-1].expected, log.findings[-1].seen) == ("no tunnel", "a tunnel")


def test_invariant_can_be_the_case_s_own_judgement(log: FindingsLog) -> None:
    bad = exchange(HELLO, BAD_HELLO)
    log.observe(bad)
    log.judge_invariant("CB-HEL-003")
    with pytest.raises(Broken) as broken:
        log.judge_invariant("CB-HEL-002")
    assert (broken.value.requirement, broken.value.exchanges) == ("CB-HEL-002", (bad,))
    assert log.findings == []
