"""A kind of fault: its parameters, and its effect at each point that a message passes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from websockets.frames import Frame

from cbspec.documents import says
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.steps import Step
from cbspec_simulator.faults.when import MessageDirection, Occasion

FILLER: Final = "x"
"""The letter of a padding."""

PADDED: Final = 64 * 1024
"""Letters of a padding that are in the text; the others are inserted while it is sent."""

Body = dict[str, Any]
Cut = Callable[[bytes], Iterable[tuple[float, bytes]]]
TRANSPORTS: Final = ("tcp", "websocket")
VALIDITY: Final = frozenset({"expired", "not-yet-valid", "expiring"})
"""The TLS variations that set the validity period of the certificate; they exclude each other."""


class FaultLayer(StrEnum):
    """The protocol layer of a fault."""

    TLS = "TLS"
    TRANSPORT = "transport"
    WEBSOCKET = "WebSocket"
    MESSAGE = "message"
    MEANING = "meaning"


class ConnectionEnd(StrEnum):
    """How the relay ends a connection, or only its own half of it."""

    CLOSE = "close"
    RESET = "reset"
    WITHOUT_NOTIFY = "close-without-notify"
    HALF = "half-close"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a kind; the type constrains its values."""

    type: Any
    meaning: str
    default: Any = None
    required: bool = False

    @property
    def hint(self) -> Any:  # noqa: ANN401 - a type
        """The type, annotated with the meaning."""
        return Annotated[self.type, says(self.meaning)]


@dataclass(frozen=True, slots=True)
class Strike:
    """One strike of a fault: the parameters of its kind, and a random generator that the seed determines."""

    fault: str
    kind: FaultKind
    params: Mapping[str, Any]
    occasion: Occasion
    chance: random.Random

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - checked when the fault was read
        return self.params[name]


@dataclass(slots=True)
class Greeting:
    """How the relay treats a new connection.

    `tls` names the variations of its TLS (`edge/contexts.py`), `lifetime` the seconds of validity of an expiring
    certificate. After `stall_after` bytes of the TLS handshake nothing more is sent; `alert` is sent instead of a
    handshake. An `unresponsive` relay reads requests and never answers; `end` ends the connection at once.
    """

    tls: frozenset[str] = frozenset()
    lifetime: float = 0.0
    stall_after: int | None = None
    alert: int | None = None
    unresponsive: bool = False
    end: ConnectionEnd | None = None

    @property
    def hangs(self) -> bool:
        """Whether the connection stays open without any traffic."""
        return self.unresponsive or self.stall_after is not None


@dataclass(slots=True)
class Handling:
    """How the relay handles a request: `copies` times (0: it ignores the request), after a pause and open gates.

    `first_steps` check it before the relay's own steps, `last_steps` after them. `extra` messages are sent before
    everything else. `end` ends the connection without handling the request; a half-close comes before the handling.
    """

    copies: int = 1
    pause: float = 0.0
    gates: list[str] = field(default_factory=list)
    first_steps: list[Step] = field(default_factory=list)
    last_steps: list[Step] = field(default_factory=list)
    extra: list[Body] = field(default_factory=list)
    end: ConnectionEnd | None = None


@dataclass(slots=True)
class Delivery:
    """How the bytes of a message are sent.

    They wait for `pause` seconds and for every gate to open. Each of `cuts` splits bytes into (seconds before, bytes);
    the next one splits the results. With `swap` the message is sent after the next one, with `join` that many messages
    are sent together; both wait at most `within` seconds. Only the first `length` bytes are sent; `end` ends the
    connection after them. `whole`: the cuts need all bytes at once. `fill` more bytes `FILLER` are inserted at `place`
    while the message is sent: 100 MB at once would block other connections for seconds.
    """

    pause: float = 0.0
    gates: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    swap: bool = False
    join: int = 1
    within: float = 0.0
    length: int | None = None
    end: ConnectionEnd | None = None
    whole: bool = False
    fill: int = 0
    place: int = 0


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    `stands_for` is the requirement that it breaks or concerns, or the situation that it simulates. A `standing` kind
    is in effect all the time instead of striking. With `some`, at least one parameter is required. `only` returns the
    types of the messages on which it has an effect with these parameters (None: all), `fill` the bytes of padding that
    `edit` has left out. Each other function has an effect at one point: `connect` on a new connection, `request` on a
    client's message; `edit`, `text`, `frame` and `deliver` on the relay's messages: their members, text, WebSocket
    frames (bytes if already serialized) and bytes.
    """

    layer: FaultLayer
    name: str
    sentence: str
    stands_for: str
    params: Mapping[str, Param] = field(default_factory=dict)
    transports: tuple[str, ...] = TRANSPORTS
    standing: bool = False
    some: bool = False
    fill: Callable[[Strike], int] | None = None
    only: Callable[[Mapping[str, Any]], list[str]] | None = None
    connect: Callable[[Greeting, Strike], None] | None = None
    request: Callable[[Handling, Strike], None] | None = None
    edit: Callable[[Body, Strike], list[Body]] | None = None
    text: Callable[[bytes, Strike], bytes] | None = None
    frame: Callable[[WebSocketFramer, list[Frame | bytes], Strike], list[Frame | bytes]] | None = None
    deliver: Callable[[Delivery, Strike], None] | None = None

    @property
    def directions(self) -> tuple[MessageDirection, ...]:
        """The directions in which it can strike; the first one is the default."""
        points = (
            (MessageDirection.ANSWER, self.edit or self.text or self.frame or self.deliver),
            (MessageDirection.REQUEST, self.request),
            (MessageDirection.CONNECT, self.connect or self.standing or None),
        )
        return tuple(direction for direction, effect in points if effect is not None)


def delivered(strikes: Iterable[Strike]) -> Delivery | None:
    """Return the delivery that the strikes demand; None if none of them changes it."""
    delivery: Delivery | None = None
    for strike in strikes:
        if strike.kind.deliver is not None:
            delivery = delivery or Delivery()
            strike.kind.deliver(delivery, strike)
    return delivery
