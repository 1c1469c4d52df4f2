"""The relay's behaviour if the specification is silent, in a small vocabulary: pure functions of an exchange.

The words contain no times, ports or texts of the relay, so the fingerprints of two releases can be compared.
"""

from __future__ import annotations

from cbspec.protocol.codes import ErrorCode
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.judging.judge import OUT_OF_ROOM, is_success, no_room, silence
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Message

ACCEPTED = "accepted"
CLOSED = "closed"
IGNORED = "ignored"
OPEN = "stays open"


def reaction(exchange: Exchange, *about: ErrorCode | str) -> str:
    """Return the relay's reaction to a request: accepted, refused with a code, closed or ignored.

    Raises Inconclusive without an answer in time, with an unreadable answer, and after a refusal for lack of room
    unless the case is about that code (`about`).
    """
    answer = exchange.answer
    if answer is None:
        if exchange.ended is not None:
            return CLOSED
        if exchange.silence is Silence.IGNORED:
            return IGNORED
        raise Inconclusive(silence(exchange))
    return answered(answer, *about)


def answered(answer: Message, *about: ErrorCode | str) -> str:
    """Return the reaction that one answer shows. Raises Inconclusive like `reaction`."""
    if answer.decoded.requirement:
        raise Inconclusive(f"the answer can't be read (see {answer.decoded.requirement}): {answer.decoded.fault}")
    if is_success(answer):
        return ACCEPTED
    if answer.type != "error":
        return "answered otherwise"
    code = str(answer.member("code"))
    if code in OUT_OF_ROOM and code not in about:
        raise no_room(code)
    return f"refused: {code}" if code in list(ErrorCode) else "refused: an unlisted code"
