"""What is seen on the way of a case, and blamed where it belongs."""

from __future__ import annotations

import pytest

from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.judging.findings import Outcome
from cbspec_conformance.judging.invariants import Breach
from cbspec_conformance.record.transcript import Transcript
from cbspec_conformance.target.watch import Watch
from tests.conformance.build import HELLO, HELLO_RESPONSE, TUNNEL, TUNNEL_RESPONSE, exchange, received, sent

BAD_HELLO = {**HELLO_RESPONSE, "version": 1}


def watch() -> Watch:
    return Watch(Transcript(), "relay/test_x.py::test_y")


def test_nothing_wrong_is_no_finding() -> None:
    seen = watch()
    seen.observe(exchange(TUNNEL, TUNNEL_RESPONSE))
    seen.judge_invariant("CB-TUN-002")
    assert seen.findings == []


@pytest.mark.parametrize(
    ("answer", "requirement", "outcome"),
    [
        (BAD_HELLO, "CB-HEL-002", Outcome.FAILED),
        ({**HELLO_RESPONSE, "version": "2.0"}, "CB-HEL-004", Outcome.WARNED),
    ],
)
def test_the_level_decides_between_failed_and_warned(answer: object, requirement: str, outcome: Outcome) -> None:
    seen = watch()
    seen.observe(exchange(HELLO, answer))
    (finding,) = seen.findings
    assert (finding.requirement, finding.outcome, finding.case) == (requirement, outcome, "relay/test_x.py::test_y")


def test_the_same_breach_is_told_once() -> None:
    seen = watch()
    for _ in range(5):
        seen.observe(exchange(HELLO, BAD_HELLO))
    assert len(seen.findings) == 1
    seen.observe(exchange(HELLO, {**HELLO_RESPONSE, "version": None}))
    assert len(seen.findings) == 2


def test_a_finding_shows_the_exchange_that_it_is_read_from() -> None:
    seen = watch()
    first, second = exchange(HELLO, BAD_HELLO), exchange(TUNNEL, TUNNEL_RESPONSE)
    for number, each in enumerate((first, second), 1):
        assert each.request is not None
        seen.transcript.add(sent(each.request.value, number))
        seen.transcript.add(received(each.answers[0].value, connection=number))
    seen.observe(first)
    seen.observe(second)
    assert "hello_response" in seen.findings[0].exchange
    assert "tunnel_info" not in seen.findings[0].exchange


def test_an_invariant_can_be_the_case_s_own_judgement() -> None:
    seen = watch()
    bad = exchange(HELLO, BAD_HELLO)
    seen.observe(bad)
    seen.observe(exchange(TUNNEL, TUNNEL_RESPONSE))
    seen.judge_invariant("CB-HEL-003")
    with pytest.raises(Broken) as broken:
        seen.judge_invariant("CB-HEL-002")
    assert (broken.value.requirement, broken.value.exchanges) == ("CB-HEL-002", (bad,))
    assert seen.findings == []  # it is the case's own now


def test_cases_may_report_a_breach_themselves() -> None:
    seen = watch()
    seen.breach(Breach("CB-AUT-016", "no tunnel", "a tunnel"))
    assert (seen.findings[0].expected, seen.findings[0].seen) == ("no tunnel", "a tunnel")
