"""The invariants for who isn't the suite: pure, from texts as they passed to what they break.

A load test, or a soak, carries the messages itself; what it saw of one request is held against the same invariants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cbspec_conformance.judging.invariants import check
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.decoding import decode
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.transcript import Direction, Message


class Received(NamedTuple):
    """An answer: its text, whether it came in a WebSocket's binary message, and in a frame longer than it had to be."""

    text: bytes
    binary: bool = False
    padded: bool = False


def look(
    sent: bytes | None, received: Sequence[Received], *, tenant: str = "", secrets: tuple[str, ...] = ()
) -> list[Breach]:
    """Return what an exchange breaks.

    Arguments: `sent` is the request's text (None: nothing was asked), `received` the answers; `tenant` is the token's,
    `secrets` what no error text may hold.
    """
    request = _message(Direction.SENT, sent) if sent is not None else None
    answers = tuple(_message(Direction.RECEIVED, *answer) for answer in received)
    return check(Exchange(request, answers, tenant=tenant, secrets=secrets))


def _message(direction: Direction, text: bytes, binary: bool = False, padded: bool = False) -> Message:
    return Message(0.0, 0, direction, text, decode(text), binary=binary, padded=padded)
