"""Outcomes of INFO cases, in a fixed vocabulary."""

from __future__ import annotations

import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import End
from tests.conformance.build import REQUESTS, SUCCESSES, TUNNEL, TUNNEL_RESPONSE, ended, error, exchange

CASES: dict[str, tuple[Exchange, str]] = {
    **{f"{name} served": (exchange(REQUESTS[name], SUCCESSES[name]), "accepted") for name in REQUESTS},
    **{code: (exchange(TUNNEL, error(code)), f"refused: {code}") for code in ErrorCode if code not in OUT_OF_ROOM},
    "status not ok": (exchange(TUNNEL, {**TUNNEL_RESPONSE, "status": "no"}), "answered otherwise"),
    "unlisted code": (exchange(TUNNEL, error("teapot")), "refused: an unlisted code"),
    "no code": (exchange(TUNNEL, error([])), "refused: an unlisted code"),
    "closed": (exchange(TUNNEL, ended=ended(End.EOF)), "closed"),
    "error, then close": (exchange(TUNNEL, error(), ended=ended(End.EOF)), "refused: invalid_tunnel_info"),
    "ignored": (exchange(TUNNEL, silence=Silence.IGNORED), "ignored"),
}
UNCLEAR: dict[str, Exchange] = {
    **{code: exchange(TUNNEL, error(code)) for code in sorted(OUT_OF_ROOM)},
    "unresponsive": exchange(TUNNEL, silence=Silence.UNRESPONSIVE),
    "late": exchange(TUNNEL),
    "not JSON": exchange(TUNNEL, b"oops"),
}


@pytest.mark.parametrize("name", CASES)
def test_reactions(name: str) -> None:
    found, words = CASES[name]
    assert reaction(found) == words


@pytest.mark.parametrize("name", UNCLEAR)
def test_ambiguous_exchanges_are_inconclusive(name: str) -> None:
    with pytest.raises(Inconclusive):
        reaction(UNCLEAR[name])


def test_capacity_error_counts_if_the_case_is_about_it() -> None:
    assert reaction(exchange(TUNNEL, error("rate_limit_exceeded")), "rate_limit_exceeded") == (
        "refused: rate_limit_exceeded"
    )
