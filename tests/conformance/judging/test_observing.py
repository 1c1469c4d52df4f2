"""Outcomes of INFO cases, in a fixed vocabulary."""

from __future__ import annotations

import contextlib

import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import End
from tests.conformance.build import TUNNEL, TUNNEL_RESPONSE, ended, error, exchange

UNCLEAR = "inconclusive"
CASES: dict[str, tuple[Exchange, str]] = {
    **{
        code: (exchange(TUNNEL, error(code)), UNCLEAR if code in OUT_OF_ROOM else f"refused: {code}")
        for code in ErrorCode
    },
    "served": (exchange(TUNNEL, TUNNEL_RESPONSE), "accepted"),
    "status not ok": (exchange(TUNNEL, {**TUNNEL_RESPONSE, "status": "no"}), "answered otherwise"),
    "no code": (exchange(TUNNEL, error([])), "refused: an unlisted code"),
    "closed": (exchange(TUNNEL, ended=ended(End.EOF)), "closed"),
    "ignored": (exchange(TUNNEL, silence=Silence.IGNORED), "ignored"),
    "unresponsive": (exchange(TUNNEL, silence=Silence.UNRESPONSIVE), UNCLEAR),
    "not JSON": (exchange(TUNNEL, b"oops"), UNCLEAR),
}


@pytest.mark.parametrize("name", CASES)
def test_reactions(name: str) -> None:
    found, words = CASES[name]
    with pytest.raises(Inconclusive) if words is UNCLEAR else contextlib.nullcontext():
        assert reaction(found) == words


def test_capacity_error_counts_if_the_case_is_about_it() -> None:
    code = "rate_limit_exceeded"
    assert reaction(exchange(TUNNEL, error(code)), code) == f"refused: {code}"
