"""The invariants for who isn't the suite: pure, from texts as they passed to what they break.

A load test, or a soak, carries the messages itself; what it saw of one request is held against the same invariants.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.decoding import decode
from conformance.exchange import Exchange
from conformance.invariants import Breach, check
from conformance.transcript import Direction, Message


def look(
    sent: bytes | None, received: Sequence[tuple[bytes, bool]], *, tenant: str = "", secrets: tuple[str, ...] = ()
) -> list[Breach]:
    """Return what an exchange breaks.

    Arguments: `sent` is the request's text (None: nothing was asked), `received` the answers' texts, each with whether
    it came in a WebSocket's binary message; `tenant` is the token's, `secrets` what no error text may hold.
    """
    request = _message(Direction.SENT, sent) if sent is not None else None
    answers = tuple(_message(Direction.RECEIVED, text, binary=binary) for text, binary in received)
    return check(Exchange(request, answers, tenant=tenant, secrets=secrets))


def _message(direction: Direction, text: bytes, *, binary: bool = False) -> Message:
    return Message(0.0, 0, direction, text, decode(text), binary)
