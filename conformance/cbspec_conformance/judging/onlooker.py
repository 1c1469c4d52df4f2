"""The invariants for other clients, such as a load test: a pure function of the texts of one exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cbspec_conformance.judging.invariants import check
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Direction, Message


class Received(NamedTuple):
    """An answer: its text, whether its WebSocket message was binary, and whether its frame length was padded."""

    text: bytes
    binary: bool = False
    padded: bool = False


def look(
    sent: bytes | None, received: Sequence[Received], *, tenant: str = "", secrets: tuple[str, ...] = ()
) -> list[Breach]:
    """Return the breaches of the invariants in an exchange.

    Arguments: `sent` is the text of the request (None: the answers are unsolicited), `received` the answers, `tenant`
    the tenant of the client's token, and `secrets` strings that no error text may contain.
    """
    request = _message(Direction.SENT, sent) if sent is not None else None
    answers = tuple(_message(Direction.RECEIVED, *answer) for answer in received)
    return check(Exchange(request, answers, tenant=tenant, secrets=secrets))


def _message(direction: Direction, text: bytes, binary: bool = False, padded: bool = False) -> Message:
    return Message(0.0, 0, direction, text, decode(text), binary=binary, padded=padded)
