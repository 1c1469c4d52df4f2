"""A kind of fault: what it does at each point that a message passes, and what it needs to know."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from websockets.frames import Frame

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.steps import Step
from cbspec_simulator.base.values import Value
from cbspec_simulator.faults.when import MessageDirection, Occasion

Body = dict[str, Any]
Cut = Callable[[bytes], Iterable[tuple[float, bytes]]]
TRANSPORTS: Final = ("tcp", "websocket")
VALIDITY: Final = frozenset({"expired", "not-yet-valid", "expiring"})
"""The ways in which a certificate's time is another, of which it can have one."""


class FaultLayer(StrEnum):
    """How deep a fault goes."""

    TLS = "TLS"
    TRANSPORT = "transport"
    WEBSOCKET = "WebSocket"
    MESSAGE = "message"
    MEANING = "meaning"


class ConnectionEnd(StrEnum):
    """How the relay ends a connection, or its own half of it."""

    CLOSE = "close"
    WITHOUT_NOTIFY = "without close_notify"
    RESET = "reset"
    HALF = "half"


ENDS: Final[Mapping[str, ConnectionEnd]] = {
    "close": ConnectionEnd.CLOSE,
    "reset": ConnectionEnd.RESET,
    "close-without-notify": ConnectionEnd.WITHOUT_NOTIFY,
    "half-close": ConnectionEnd.HALF,
}
"""The names in the controls and the timeline of the ways to end a connection."""


@dataclass(frozen=True, slots=True)
class Param:
    """One thing that a kind needs to know; without a default it must be given."""

    value: Value
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike of a fault: the parameters of its kind, and chance that the seed repeats."""

    fault: str
    kind: FaultKind
    params: Mapping[str, Any]
    occasion: Occasion
    chance: random.Random

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - checked when the fault was read
        return self.params[name]


@dataclass(slots=True)
class Greeting:
    """How a new connection is met.

    `tls` says in which ways its TLS is another than the relay's own (`simulator/contexts.py`), `lifetime` for how many
    seconds an expiring certificate is good. Behind `stall_after` bytes of its TLS answer nothing more goes out, `alert`
    is sent instead of one; with `deaf` what is asked is read and never served, and `end` closes at once.
    """

    tls: frozenset[str] = frozenset()
    lifetime: float = 0.0
    stall_after: int | None = None
    alert: int | None = None
    deaf: bool = False
    end: ConnectionEnd | None = None

    @property
    def hangs(self) -> bool:
        """Whether the connection is kept, however long nothing happens on it."""
        return self.deaf or self.stall_after is not None


@dataclass(slots=True)
class Handling:
    """How a request is taken: so many times (0: as if it hadn't come), after a pause, once a gate opens, by more steps.

    `steps` are taken before the relay's own, `behind` after them; `end` ends the connection instead, or the relay's
    half of it before; `extra` goes out before anything else.
    """

    copies: int = 1
    pause: float = 0.0
    gates: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    behind: list[Step] = field(default_factory=list)
    extra: list[Body] = field(default_factory=list)
    end: ConnectionEnd | None = None


@dataclass(slots=True)
class Delivery:
    """How the bytes of a message go out.

    `pause` is in seconds, before the first; they stay back until every gate opens. Each of `cuts` takes bytes apart
    into (seconds before, bytes), and what one made goes through the next. With `swap` they go out behind the next
    message, with `join` so many messages go out together; both no later than `within` seconds. Only `length` bytes go
    out of them, and `end` ends the connection.
    """

    pause: float = 0.0
    gates: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    swap: bool = False
    join: int = 1
    within: float = 0.0
    length: int | None = None
    end: ConnectionEnd | None = None


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    `stands_for` is the requirement that it breaks or is about, or the situation that it stands for. A `standing` one
    holds all the time instead of striking; with `some` one parameter must be given at least. Of the functions each is
    for one point on a message's way: `connect` for a new connection, `request` for what a client sends; `edit`, `text`,
    `frame` and `deliver` for what the relay sends: its members, its text, its WebSocket frames (as bytes where
    they are spelt already), its bytes.
    """

    name: str
    layer: FaultLayer
    sentence: str
    stands_for: str
    params: Mapping[str, Param] = field(default_factory=dict)
    transports: tuple[str, ...] = TRANSPORTS
    standing: bool = False
    some: bool = False
    connect: Callable[[Greeting, Strike], None] | None = None
    request: Callable[[Handling, Strike], None] | None = None
    edit: Callable[[Body, Strike], list[Body]] | None = None
    text: Callable[[bytes, Strike], bytes] | None = None
    frame: Callable[[WebSocketFramer, list[Frame | bytes], Strike], list[Frame | bytes]] | None = None
    deliver: Callable[[Delivery, Strike], None] | None = None

    @property
    def directions(self) -> tuple[MessageDirection, ...]:
        """Where it can strike, the usual place first."""
        answer = self.edit or self.text or self.frame or self.deliver
        points = (
            (MessageDirection.ANSWER, answer),
            (MessageDirection.REQUEST, self.request),
            (MessageDirection.CONNECT, self.connect),
        )
        if self.standing:
            return (MessageDirection.CONNECT,)
        return tuple(direction for direction, function in points if function is not None)


def delivered(strikes: Iterable[Strike]) -> Delivery | None:
    """Return how bytes go out where any strike says so."""
    changing = [strike for strike in strikes if strike.kind.deliver is not None]
    if not changing:
        return None
    delivery = Delivery()
    for strike in changing:
        if strike.kind.deliver is not None:
            strike.kind.deliver(delivery, strike)
    return delivery
