"""Every judgement on every kind of answer, in a hand-written table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NoRoom
from cbspec_conformance.judging.observing import reaction
from cbspec_conformance.record.conclusions import Expectation, ExpectationKind, Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import End
from tests.conformance.build import (
    HEARTBEAT_RESPONSE,
    REQUESTS,
    TUNNEL,
    TUNNEL_RESPONSE,
    ended,
    error,
    exchange,
    received,
)

FINE, BROKEN, UNCLEAR = "fine", "broken", "inconclusive"
OTHERWISE = "answered otherwise"

# Answers to a tunnel_info, the outcomes of `accepted`, `refused_with(invalid_tunnel_info)`, `refused` and
# `not_accepted`, and the reaction (or UNCLEAR).
ANSWERS: Final[dict[str, tuple[Exchange, str, str, str, str, str]]] = {
    "as requested": (exchange(TUNNEL, TUNNEL_RESPONSE), FINE, BROKEN, BROKEN, BROKEN, "accepted"),
    "status not ok": (exchange(TUNNEL, {**TUNNEL_RESPONSE, "status": "no"}), BROKEN, BROKEN, BROKEN, FINE, OTHERWISE),
    "no status": (exchange(TUNNEL, {"type": "tunnel_response"}), BROKEN, BROKEN, BROKEN, FINE, OTHERWISE),
    "another answer's type": (exchange(TUNNEL, HEARTBEAT_RESPONSE), BROKEN, BROKEN, BROKEN, FINE, "accepted"),
    "the expected code": (exchange(TUNNEL, error()), BROKEN, FINE, FINE, FINE, "refused: invalid_tunnel_info"),
    "another listed code": (
        exchange(TUNNEL, error("tenant_not_found")), BROKEN, BROKEN, FINE, FINE, "refused: tenant_not_found",
    ),
    "a code that isn't listed": (
        exchange(TUNNEL, error("bad_request")), BROKEN, UNCLEAR, FINE, FINE, "refused: an unlisted code",
    ),
    "error, then success": (
        exchange(TUNNEL, error("data_transfer_failed"), TUNNEL_RESPONSE), FINE, BROKEN, BROKEN, BROKEN, "accepted",
    ),
    "success, then error": (exchange(TUNNEL, TUNNEL_RESPONSE, error()), FINE, BROKEN, BROKEN, BROKEN, "accepted"),
    "something else, then success": (
        exchange(TUNNEL, HEARTBEAT_RESPONSE, TUNNEL_RESPONSE), FINE, BROKEN, BROKEN, BROKEN, "accepted",
    ),
    "not JSON": (exchange(TUNNEL, b"ok"), UNCLEAR, UNCLEAR, UNCLEAR, FINE, UNCLEAR),
    "an unknown type": (exchange(TUNNEL, {"type": "pong"}), UNCLEAR, UNCLEAR, UNCLEAR, FINE, OTHERWISE),
    "ignored": (exchange(TUNNEL, silence=Silence.IGNORED), BROKEN, BROKEN, BROKEN, FINE, "ignored"),
    "unresponsive, the relay alive": (
        exchange(TUNNEL, silence=Silence.UNRESPONSIVE), BROKEN, BROKEN, BROKEN, FINE, UNCLEAR,
    ),
    "unresponsive, the relay too": (
        exchange(TUNNEL, silence=Silence.UNRESPONSIVE, relay_alive=False), UNCLEAR, UNCLEAR, UNCLEAR, FINE, UNCLEAR,
    ),
    **{
        f"an end: {how}": (exchange(TUNNEL, ended=ended(how)), BROKEN, BROKEN, FINE, FINE, "closed")
        for how in End
    },
}  # fmt: skip

JUDGEMENTS: Final[list[Callable[[Exchange], object]]] = [
    judge.accepted,
    lambda seen: judge.refused_with(seen, ErrorCode.INVALID_TUNNEL_INFO),
    judge.refused,
    judge.not_accepted,
]


def outcome(judgement: Callable[[Exchange], object], seen: Exchange) -> str:
    """Return the outcome of a judgement."""
    try:
        judgement(seen)
    except Broken:
        return BROKEN
    except Inconclusive:
        return UNCLEAR
    return FINE


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_judgement_on_every_kind_of_answer(kind: str) -> None:
    seen, *expected, words = ANSWERS[kind]
    assert [outcome(judgement, seen) for judgement in JUDGEMENTS] == expected
    if words == UNCLEAR:
        assert outcome(reaction, seen) == UNCLEAR
    else:
        assert reaction(seen) == words


@pytest.mark.parametrize("code", sorted({*judge.OUT_OF_ROOM, "data_transfer_failed"}))
def test_an_error_that_comes_unasked_is_not_the_code_of_the_answer(code: str) -> None:
    assert judge.error_code(exchange(TUNNEL, error(code))) == code
    assert judge.error_code(exchange(TUNNEL, error(code), TUNNEL_RESPONSE)) == ""
    unasked = exchange(TUNNEL, error("server_unavailable"), error("tenant_limit_exceeded"))
    assert judge.error_code(unasked) == "tenant_limit_exceeded"


@pytest.mark.parametrize("code", sorted(judge.OUT_OF_ROOM))
@pytest.mark.parametrize("judgement", [judge.accepted, judge.with_room, reaction])
def test_capacity_errors_are_inconclusive(code: ErrorCode, judgement: Callable[[Exchange], object]) -> None:
    with pytest.raises(Inconclusive, match=f"{code}.*something else") as raised:
        judgement(exchange(TUNNEL, error(code)))
    assert isinstance(raised.value, NoRoom) is (code in judge.FULL)
    assert reaction(exchange(TUNNEL, error(code)), code) == f"refused: {code}"


def test_a_refusal_is_never_accepted_and_needs_the_expected_code() -> None:
    for code in ErrorCode:
        for request in REQUESTS.values():
            refused = exchange(request, error(code))
            assert outcome(judge.accepted, refused) == (UNCLEAR if code in judge.OUT_OF_ROOM else BROKEN)
            assert outcome(partial(judge.hold, Expectation(ExpectationKind.ACCEPTED, (code,))), refused) == BROKEN
        for wanted in ErrorCode:
            refused_with = partial(judge.hold, Expectation(ExpectationKind.REFUSED_WITH, (wanted,)))
            assert outcome(refused_with, refused) == (FINE if code is wanted else BROKEN)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (TUNNEL_RESPONSE, 'a tunnel_response with status "ok"'),
        (error("x" * 100), f'an error with code "{"x" * 58}…'),
        ({"type": "auth", "token": "secret"}, 'a message of type "auth"'),
        (b"[1]", "a message of 3 bytes: it is not a JSON object but an array"),
    ],
    ids=["tunnel", "long", "token", "array"],
)
def test_description_of_a_message(message: object, words: str) -> None:
    assert judge.describe(received(message)) == words
