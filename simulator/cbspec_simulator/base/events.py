"""What happens in a relay, as it happens: for whoever counts it, writes it down or shows it.

An event carries no time: it is told when it happens, and who listens has the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from cbspec_simulator.faults.engine import Decision
    from cbspec_simulator.relay.session import Session


class Connected(NamedTuple):
    """A connection's first bytes arrived."""

    session: Session


class Received(NamedTuple):
    """A message came from a client: its type, or "unknown", and its text."""

    session: Session
    type: str
    text: bytes


class Answered(NamedTuple):
    """A message goes to a client: what the relay means (`body`), and the texts that stand for it on the wire."""

    session: Session
    body: dict[str, Any]
    texts: tuple[bytes, ...]


class Sent(NamedTuple):
    """The answer to a request is with the transport, to its last byte; told where `Relay.timed` asks for it.

    `type` is the request's, or "unknown"; `asked` says when its last byte had come, in seconds of the monotonic clock.
    """

    session: Session
    type: str
    asked: float


class Decided(NamedTuple):
    """A fault matched: it strikes, or was left to chance and doesn't."""

    decision: Decision


class Ended(NamedTuple):
    """A connection is gone, and what it held is given back."""

    session: Session
    reset: bool


Event = Connected | Received | Answered | Sent | Decided | Ended
Listener = Callable[[Any], None]
"""Is told of events, of those kinds that it was added for."""

KINDS: Final[tuple[type[Event], ...]] = (Connected, Received, Answered, Sent, Decided, Ended)


class Listeners:
    """Everybody who is told; telling nobody costs next to nothing."""

    __slots__ = ("_of",)

    def __init__(self, *listeners: Listener) -> None:
        self._of: dict[type[Event], tuple[Listener, ...]] = dict.fromkeys(KINDS, ())
        for listener in listeners:
            self.add(listener)

    def add(self, listener: Listener, *kinds: type[Event]) -> None:
        """Tell one more, of these kinds of events (none named: of all)."""
        for kind in kinds or KINDS:
            self._of[kind] += (listener,)

    def remove(self, listener: Listener) -> None:
        """Tell one less."""
        for kind, told in self._of.items():
            self._of[kind] = tuple(other for other in told if other != listener)

    def __call__(self, event: Event) -> None:
        """Tell all, in the order in which they came."""
        for listener in self._of[type(event)]:
            listener(event)

    def __bool__(self) -> bool:
        return any(self._of.values())
