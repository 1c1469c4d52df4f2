"""When a fault strikes: which messages it is about, which of them, and for how long."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cbspec_simulator.base.values import CHANCE, LATER, SIZE, TEXT, Value, one_of


class MessageDirection(StrEnum):
    """Where a fault can strike: at a new connection, at what a client sends, or at what the relay sends."""

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
    """What is about to happen: `message` is its type, `answer_to` the type that it answers, "" where there is none.

    `tenant` and `subject` are whom the connection acts for; of an auth, whom its token names, verified or not.
    """

    direction: MessageDirection
    connection: int
    transport: str = ""
    tenant: str = ""
    subject: str = ""
    message: str = ""
    answer_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The condition of a fault; what is left out doesn't matter.

    `nth`, `every` and `after` count the occasions that match what stands before them in this list; `per` says whose
    are counted together, and whose strikes, for `times` and for sequences. `begin` and `end` are seconds of the
    simulator's clock since the fault was added; at most `times` strikes.
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
        """Say whether an occasion is one that is counted; `age` is in seconds since the fault was added."""
        return (
            (self.direction is None or self.direction is occasion.direction)
            and (self.message is None or self.message == occasion.message)
            and (self.answer_to is None or self.answer_to == occasion.answer_to)
            and (self.tenant is None or self.tenant == occasion.tenant)
            and (self.subject is None or self.subject == occasion.subject)
            and (self.connection is None or self.connection == occasion.connection)
            and (self.transport is None or self.transport == occasion.transport)
            and self.begin <= age
            and (self.end is None or age < self.end)
        )

    def chosen(self, number: int) -> bool:
        """Say whether the so-manieth occasion, from 1, is one to strike at."""
        return (
            number > self.after
            and (self.nth is None or number == self.nth)
            and (self.every is None or (number - self.after) % self.every == 0)
        )

    def holder(self, occasion: Occasion) -> Hashable:
        """Return with whom an occasion is counted."""
        return {
            Per.RELAY: None,
            Per.TENANT: occasion.tenant,
            Per.SUBJECT: (occasion.tenant, occasion.subject),
            Per.CONNECTION: occasion.connection,
        }[self.per]


REQUESTS: Final = ("hello", "auth", "tunnel_info", "heartbeat", "unknown")
ANSWERS: Final = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")

LASTING: Final = ("begin", "end")
"""The conditions that are about nothing but time."""

CONDITIONS: Final[Mapping[str, Value]] = {
    "direction": one_of(*MessageDirection).says(
        "where: at a new connection, what a client sends, or what the relay sends"
    ),
    "message": one_of(*REQUESTS, *ANSWERS).says("the type of the message; it says the direction as well"),
    "answer_to": one_of(*REQUESTS).says("the type of the request that the relay answers"),
    "tenant": TEXT.says("the tenant of the connection, or of an auth's token"),
    "subject": TEXT.says("the subject of the connection, or of an auth's token"),
    "connection": SIZE.says("the number of the connection, counted from 1 since the start"),
    "transport": one_of("tcp", "websocket").says("the transport of the connection"),
    "begin": LATER.says("not before so many seconds after the fault was added"),
    "end": LATER.says("not from so many seconds after the fault was added on"),
    "per": one_of(*Per).says('whose messages and strikes are counted together (left out: "relay", all of them)'),
    "nth": SIZE.says("only the n-th of the messages that match"),
    "every": SIZE.says("every n-th of them"),
    "after": SIZE.says("only those behind the n-th"),
    "probability": CHANCE.says("how probable a strike is, by the simulator's seed"),
    "times": SIZE.says("so many strikes at most"),
}
"""Every key of a fault's `when`."""
