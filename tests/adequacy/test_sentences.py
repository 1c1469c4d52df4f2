"""A sentence about an exchange is compared with its lines."""

from __future__ import annotations

import pytest

from tests.adequacy.sentences import contradictions, untrue

BEAT = '>  0.010 #1 -> {"type":"heartbeat"}'
FENCE = '   0.510 #1 -> {"type":"cbspec_fence_1"}   [fence]'
REFUSED = '   0.511 #1 <- {"type":"error","code":"unknown_message_type","message":"no"}'
ANSWER = '   3.511 #1 <- {"type":"heartbeat_response"}'
BEFORE = '   0.010 #1 <- {"type":"heartbeat_response"}'
ELSEWHERE = '   3.511 #2 <- {"type":"heartbeat_response"}'
IGNORED = "no answer within 1.2 s; two later requests were answered in that time, and this one was not"

SENTENCES = [
    (IGNORED, [BEAT, FENCE, REFUSED, FENCE, REFUSED], 0),
    (IGNORED, [BEAT, FENCE, REFUSED, FENCE, REFUSED, ELSEWHERE], 0),
    (IGNORED, [BEAT, FENCE, REFUSED, FENCE, REFUSED, BEFORE], 0),
    (IGNORED, [BEAT, FENCE, REFUSED, FENCE, REFUSED, ANSWER], 1),
    (IGNORED, [BEAT, FENCE, REFUSED], 1),
    ("no answer within 5.0 s; nothing more came on this connection in that time", [BEAT, FENCE, ANSWER], 0),
    ("no answer within 5.0 s", [BEAT, f">{ANSWER[1:]}"], 1),
    ("no answer; the connection was reset", [BEAT, "   0.020 #1 -- reset"], 0),
    ("no answer; the connection was reset", [BEAT, "   0.020 #2 -- reset"], 1),
    ("an error with code 'unknown_message_type'", [BEAT, REFUSED], 0),
    ("an error with code 'invalid_token'", [BEAT, REFUSED], 1),
    ("an error with code 'invalid_token'", [BEAT, "      … 3 lines left out", REFUSED], 0),
    ("a tunnel_response with status 'ok'", [BEAT, ANSWER], 1),
]


@pytest.mark.parametrize(("seen", "lines", "count"), SENTENCES)
def test_contradictions_of_a_sentence(seen: str, lines: list[str], count: int) -> None:
    assert len(list(contradictions(seen, "\n".join(lines)))) == count
    finding = {"outcome": "failed", "seen": seen, "exchange": "\n".join(lines)}
    assert bool(untrue({"requirements": {"CB-HBT-001": {"findings": [finding]}}})) is bool(count)
    assert not untrue({"requirements": {"CB-HBT-001": {"findings": [{**finding, "outcome": "passed"}]}}})
