"""The condition of a fault: which messages it concerns, which of them it strikes, and for how long."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cbspec_simulator.base.values import CHANCE, LATER, SIZE, TEXT, Value, one_of


class MessageDirection(StrEnum):
    """The points at which a fault can strike: a new connection, a client's message, or the relay's message."""

    CONNECT = "connect"
    REQUEST = "request"
    ANSWER = "answer"


class Per(StrEnum):
    """Whose messages are counted together."""

    RELAY = "relay"
    TENANT = "tenant"
    SUBJECT = "subject"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Occasion:
    """An event at which a fault can strike.

    `message` is the type of the message, `answer_to` the type of the request that it answers; both may be empty.
    `tenant` and `subject` are those of the connection, or those that the token of an auth names, verified or not.
    """

    direction: MessageDirection
    connection: int
    transport: str = ""
    tenant: str = ""
    subject: str = ""
    message: str = ""
    answer_to: str = ""


_ABOUT: Final = ("direction", "message", "answer_to", "tenant", "subject", "connection", "transport")


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The condition of a fault; a key that is None or has its default does not restrict it.

    `nth`, `every` and `after` count the occasions that match the keys before them; `per` says whose occasions, and
    whose strikes for `times` and sequences, are counted together. `begin` and `end` are seconds of the simulator's
    clock since the fault was added; `times` is the maximum number of strikes.
    """

    direction: MessageDirection | None = None
    transport: str | None = None
    connection: int | None = None
    tenant: str | None = None
    subject: str | None = None
    message: str | None = None
    answer_to: str | None = None
    begin: float = 0.0
    end: float | None = None
    per: Per = Per.RELAY
    nth: int | None = None
    every: int | None = None
    after: int = 0
    probability: float | None = None
    times: int | None = None

    def matches(self, occasion: Occasion, age: float) -> bool:
        """Return whether an occasion counts; `age` is in seconds since the fault was added."""
        for name in _ABOUT:
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(occasion, name):
                return False
        return self.lasts(age)

    def lasts(self, age: float) -> bool:
        """Return whether the fault is in effect; `age` is in seconds since it was added."""
        return self.begin <= age and (self.end is None or age < self.end)

    def chosen(self, number: int) -> bool:
        """Return whether the fault strikes on the nth matching occasion (1-based)."""
        return (
            number > self.after
            and (self.nth is None or number == self.nth)
            and (self.every is None or (number - self.after) % self.every == 0)
        )

    def holder(self, occasion: Occasion) -> Hashable:
        """Return the key under which an occasion is counted."""
        return {
            Per.RELAY: None,
            Per.TENANT: occasion.tenant,
            Per.SUBJECT: (occasion.tenant, occasion.subject),
            Per.CONNECTION: occasion.connection,
        }[self.per]


REQUESTS: Final = ("hello", "auth", "tunnel_info", "heartbeat", "unknown")
ANSWERS: Final = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")

LASTING: Final = ("begin", "end")
"""The conditions that concern only time."""

CONDITIONS: Final[Mapping[str, Value]] = {
    "direction": one_of(*MessageDirection).says("the point: a new connection, a client's message or the relay's"),
    "message": one_of(*REQUESTS, *ANSWERS).says("the type of the message; it implies the direction"),
    "answer_to": one_of(*REQUESTS).says("the type of the request that the relay answers"),
    "tenant": TEXT.says("the tenant of the connection, or of the token of an auth"),
    "subject": TEXT.says("the subject of the connection, or of the token of an auth"),
    "connection": SIZE.says("the number of the connection, counted from 1 since the start"),
    "transport": one_of("tcp", "websocket").says("the transport of the connection"),
    "begin": LATER.says("the first second after the fault was added"),
    "end": LATER.says("the second after the fault was added at which it ends"),
    "per": one_of(*Per).says('whose messages and strikes are counted together (default: "relay", all of them)'),
    "nth": SIZE.says("only the nth matching message"),
    "every": SIZE.says("every nth matching message"),
    "after": SIZE.says("only messages after the nth matching one"),
    "probability": CHANCE.says("the probability of a strike, drawn with the simulator's seed"),
    "times": SIZE.says("maximum number of strikes"),
}
"""Every key of a fault's `when`."""
