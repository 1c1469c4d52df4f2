"""One request and all that came of it: the slice of a transcript that a judgement is made on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from cbspec_conformance.record.transcript import Ended, Message


class Silence(StrEnum):
    """What is known where no answer came."""

    NONE = ""
    IGNORED = "the relay ignored it: it answered two later requests and not this one"
    HELD_BACK = "its answer came only behind a later request, and so it was again after whole time-outs"
    DEAF = "the relay answered nothing more on this connection"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its answers and what is known of the connection behind it.

    `request` is what was sent (None: nothing; what came, came unasked). `answers` are the messages that came for it,
    `silence` says what is known where there is none, `ended` how the connection ended, if it did. `tenant` is the
    tenant of the connection's token, `secrets` what no error text may hold, `waited` the seconds until the first answer
    or until waiting ended, `relay_alive` whether a new connection was answered beside a silent one.
    """

    request: Message | None
    answers: tuple[Message, ...] = ()
    silence: Silence = Silence.NONE
    ended: Ended | None = None
    tenant: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    waited: float = 0.0
    relay_alive: bool = True

    @property
    def answer(self) -> Message | None:
        """The answer that counts: the first of a type that fits the request, else the first."""
        fitting = [message for message in self.answers if message.type in self.fitting_types]
        return next(iter(fitting or self.answers), None)

    @property
    def fitting_types(self) -> tuple[str, ...]:
        """The types that an answer to this request may have."""
        asked = self.request.type if self.request else ""
        return (*((SUCCESS[asked],) if asked in SUCCESS else ()), "error")


SUCCESS = {
    "hello": "hello_response",
    "auth": "auth_response",
    "tunnel_info": "tunnel_response",
    "heartbeat": "heartbeat_response",
}
"""The type of the answer to each request. Source: Message Types."""


def latecomers(exchange: Exchange) -> Callable[[Message], bool]:
    """Return what tells of a message that comes before the next request whether it still belongs to this exchange.

    An answer that was broken up counts once, whatever is left of it; what is no message may draw several errors.
    """
    broken = any(answer.decoded.requirement for answer in exchange.answers)
    no_message = exchange.request is not None and bool(exchange.request.decoded.fault)
    return lambda message: broken or (no_message and message.type == "error")


def is_valid_opening(request: Message) -> bool:
    """Whether a request is a hello or an auth that was not spoiled."""
    return request.type in ("hello", "auth") and not request.meant
