"""The condition of a fault: which messages it concerns, which of them it strikes, and for how long."""

from __future__ import annotations

import typing
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from cbspec.documents import Converted, Count, DocumentReader, Place, Text, keys, says
from cbspec_simulator.base.values import Delay, Probability


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


TransportName = Literal["tcp", "websocket"]
RequestName = Literal["hello", "auth", "tunnel_info", "heartbeat", "unknown"]
AnswerName = Literal["hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error"]
REQUESTS: Final = typing.get_args(RequestName)
ANSWERS: Final = typing.get_args(AnswerName)


EventName = Literal["first connection", "hello", "auth", "tunnel_info", "heartbeat"]
EVENTS: Final = typing.get_args(EventName)
"""The events from which times can count: the first connection, or the first answer to a request of this type."""


def _read_after(value: object, place: Place, reader: DocumentReader) -> object:
    return reader.convert(value, EventName if isinstance(value, str) else Count, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The condition of a fault; a key that is None or has its default does not restrict it.

    `nth`, `every` and `after` count the occasions that match the keys before them; `per` says whose occasions, and
    whose strikes for `times` and sequences, are counted together. `begin` and `end` are seconds of the simulator's
    clock since the fault was added, or since the first event of the name `after`.
    """

    direction: Annotated[
        MessageDirection | None, says("the point: a new connection, a client's message or the relay's")
    ] = None
    message: Annotated[
        Literal[RequestName, AnswerName] | None, says("the type of the message; it implies the direction")
    ] = None
    answer_to: Annotated[RequestName | None, says("the type of the request that the relay answers")] = None
    tenant: Annotated[Text | None, says("the tenant of the connection, or of the token of an auth")] = None
    subject: Annotated[Text | None, says("the subject of the connection, or of the token of an auth")] = None
    connection: Annotated[Count | None, says("the number of the connection, counted from 1 since the start")] = None
    transport: Annotated[TransportName | None, says("the transport of the connection")] = None
    begin: Annotated[Delay, says("the first second after the fault was added, or after the event in `after`")] = 0.0
    end: Annotated[Delay | None, says("the second at which it ends, counted like begin")] = None
    per: Annotated[Per, says('whose messages and strikes are counted together (default: "relay", all of them)')] = (
        Per.RELAY
    )
    nth: Annotated[Count | None, says("only the nth matching message")] = None
    every: Annotated[Count | None, says("every nth matching message")] = None
    after: Annotated[
        Any,
        Converted(_read_after, {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": list(EVENTS)}]}),
        says(
            "only messages after the nth matching one; or the event after which the fault begins, "
            "and from which begin and end count",
            *EVENTS,
            title=f"a whole number, 1 or more, or one of {', '.join(EVENTS)}",
        ),
    ] = 0
    probability: Annotated[Probability | None, says("the probability of a strike, drawn with the simulator's seed")] = (
        None
    )
    times: Annotated[Count | None, says("maximum number of strikes")] = None

    @property
    def event(self) -> str:
        """The event after which the fault begins, "" if it begins at once."""
        return self.after if isinstance(self.after, str) else ""

    @property
    def skipped(self) -> int:
        """The number of matching messages that it spares first."""
        return 0 if isinstance(self.after, str) else self.after

    def matches(self, occasion: Occasion, age: float) -> bool:
        """Return whether an occasion counts; `age` is in seconds since the fault's beginning."""
        for name in _ABOUT:
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(occasion, name):
                return False
        return self.lasts(age)

    def lasts(self, age: float) -> bool:
        """Return whether the fault is in effect; `age` is in seconds since its beginning."""
        return self.begin <= age and (self.end is None or age < self.end)

    def chosen(self, number: int) -> bool:
        """Return whether the fault strikes on the nth matching occasion (1-based)."""
        return (
            number > self.skipped
            and (self.nth is None or number == self.nth)
            and (self.every is None or (number - self.skipped) % self.every == 0)
        )

    def holder(self, occasion: Occasion) -> Hashable:
        """Return the key under which an occasion is counted."""
        return {
            Per.RELAY: None,
            Per.TENANT: occasion.tenant,
            Per.SUBJECT: (occasion.tenant, occasion.subject),
            Per.CONNECTION: occasion.connection,
        }[self.per]


def unknown_tenant(when: When, tenants: Collection[str]) -> str:
    """Return the problem if the condition's tenant doesn't exist, "" otherwise.

    The token of an auth may name any tenant, so a condition about auths is never wrong.
    """
    if when.tenant is None or when.tenant in tenants or "auth" in (when.message, when.answer_to):
        return ""
    near = get_close_matches(when.tenant, tenants, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(tenants)}"
    return f"there is no tenant {when.tenant:.60}; {hint}"


LASTING: Final = ("begin", "end")
"""The conditions that concern only time."""

CONDITIONS: Final[Mapping[str, Any]] = {item.name: hint for item, hint in keys(When)}
"""The type of every key of a fault's `when`."""
