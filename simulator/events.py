"""What happens in a relay, as it happens: for whoever counts it, writes it down or shows it.

An event carries no time: it is told when it happens, and who listens has the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.faults.engine import Decision
    from simulator.session import Session


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection's first bytes arrived."""

    session: Session


@dataclass(frozen=True, slots=True)
class Received:
    """A message came from a client: its type, or "unknown", and its text."""

    session: Session
    type: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """A message goes to a client: what the relay means (`body`), and the texts that stand for it on the wire."""

    session: Session
    body: dict[str, Any]
    texts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to a request is with the transport, to its last byte; told where `Relay.timed` asks for it.

    `type` is the request's, or "unknown"; `asked` says when its last byte had come, in seconds of the monotonic clock.
    """

    session: Session
    type: str
    asked: float


@dataclass(frozen=True, slots=True)
class Decided:
    """A fault matched: it strikes, or was left to chance and doesn't."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection is gone, and what it held is given back."""

    session: Session
    reset: bool


Event = Connected | Received | Answered | Sent | Decided | Ended
Listener = Callable[[Event], None]


class Listeners:
    """Everybody who is told; telling nobody costs next to nothing."""

    __slots__ = ("_all",)

    def __init__(self, *listeners: Listener) -> None:
        self._all = list(listeners)

    def add(self, listener: Listener) -> None:
        """Tell one more."""
        self._all.append(listener)

    def remove(self, listener: Listener) -> None:
        """Tell one less."""
        self._all.remove(listener)

    def __call__(self, event: Event) -> None:
        """Tell all, in the order in which they came."""
        for listener in self._all:
            listener(event)

    def __bool__(self) -> bool:
        return bool(self._all)
