"""One request and its answers: the part of a transcript that is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.record.conclusions import Concluded, Ending, Expectation, Silence
from cbspec_conformance.record.transcript import Ended, Message, Transcript

UNASKED: Final = ("server_unavailable", "rate_limit_exceeded", "connection_limit_reached", "data_transfer_failed")
"""Codes of errors about the relay, or about a tunnel opened earlier: they may come without a request."""

ABOUT_A_REQUEST: Final = ("invalid_token", "invalid_tunnel_info", "unknown_message_type")
"""Codes of errors that never come without a request."""


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
        """The answer that counts: the first that matches the request by type and id, else an error, else by type."""
        if len(self.answers) < 2:  # nearly always, and the judgements of one exchange read it five times
            return self.answers[0] if self.answers else None
        return min(self.answers, key=self._rank, default=None)

    def _rank(self, message: Message) -> int:
        request = self.request
        if request is not None and matches(request, message):
            return 0
        if message.type == "error":
            known = request is not None and request.type in SUCCESS_TYPES
            elsewhere = (*UNASKED, "unknown_message_type") if known else UNASKED
            return 3 if message.member("code") in elsewhere else 1
        return 2 if request is not None and message.type == SUCCESS_TYPES.get(request.type) else 4


def matches(request: Message, message: Message) -> bool:
    """Whether a message is the success answer to a request, by type and tunnel_id."""
    asked = request.member("tunnel_id") if request.type == "tunnel_info" else None
    return message.type == SUCCESS_TYPES.get(request.type) and asked in (None, message.member("tunnel_id"))


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

    The rest of a broken answer does, and the late answer to a request that seemed to be ignored. A malformed request
    may draw several errors.
    """
    request = exchange.request
    broken = any(answer.decoded.requirement for answer in exchange.answers)
    malformed = request is not None and bool(request.decoded.fault)
    ignored = not exchange.answers
    return lambda message: (
        broken
        or (malformed and message.type == "error")
        or (ignored and request is not None and (message.type == "error" or matches(request, message)))
    )
