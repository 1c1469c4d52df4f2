"""One request and its answers: the part of a transcript that is judged."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.record.conclusions import Concluded, Ending, Expectation, Silence
from cbspec_conformance.record.transcript import Ended, Message, Transcript


@dataclass(frozen=True, slots=True)
class Redaction:
    """Facts about texts that a saved transcript doesn't hold; see `Concluded`."""

    leaking: tuple[int, ...] = ()
    nameless: bool = False


def _unrecorded(number: int, expectation: Expectation, result: Ending) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request (None: the answers are unsolicited), its answers and the state of the connection afterwards.

    `tenant` is the tenant of the connection's token, `secrets` may appear in no error text, and `ended` is the end of
    the connection, if it ended. `number` is the place of the exchange's `Concluded` record in the transcript (-1: it
    has none), and `record` is called with it for every judgement. The other members are those of `Concluded`.
    """

    request: Message | None
    answers: tuple[Message, ...] = ()
    silence: Silence = Silence.NONE
    ended: Ended | None = None
    tenant: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)
    waited: float = 0.0
    relay_alive: bool = True
    number: int = field(default=-1, compare=False)
    redaction: Redaction | None = field(default=None, repr=False, compare=False)
    record: Callable[[int, Expectation, Ending], None] = field(default=_unrecorded, repr=False, compare=False)

    @property
    def answer(self) -> Message | None:
        """The answer that counts: the first of a type that fits the request, else the first."""
        success = SUCCESS_TYPES.get(self.request.type) if self.request else None
        fitting = (message for message in self.answers if message.type in (success, "error"))
        return next(itertools.chain(fitting, self.answers), None)


def exchanges(transcript: Transcript) -> dict[int, Exchange]:
    """Return every exchange of a transcript by its number."""
    found: dict[int, Exchange] = {}
    ended: dict[int, Ended] = {}
    for number, record in enumerate(transcript.records):
        if isinstance(record, Ended):
            ended.setdefault(record.connection, record)
        elif isinstance(record, Concluded):
            found[number] = _exchange(transcript, number, record, ended.get(record.connection))
    return found


def _exchange(transcript: Transcript, number: int, record: Concluded, ended: Ended | None) -> Exchange:
    return Exchange(
        None if record.request is None else transcript.message(record.request),
        tuple(transcript.message(answer) for answer in record.answers),
        record.silence,
        ended,
        record.tenant,
        waited=record.waited,
        relay_alive=record.relay_alive,
        number=number,
        redaction=Redaction(record.leaking, record.nameless),
    )


def latecomers(exchange: Exchange) -> Callable[[Message], bool]:
    """Return a predicate: whether a message received before the next request belongs to this exchange.

    The rest of a broken answer does. A malformed request may draw several errors.
    """
    broken = any(answer.decoded.requirement for answer in exchange.answers)
    malformed = exchange.request is not None and bool(exchange.request.decoded.fault)
    return lambda message: broken or (malformed and message.type == "error")
