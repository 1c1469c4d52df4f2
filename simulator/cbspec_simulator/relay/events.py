"""The events of a relay, delivered to subscribers as they happen; an event carries no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.faults.engine import Decision


class Connected(NamedTuple):
    """A connection's first bytes arrived."""

    connection: ConnectionState


class MessageReceived(NamedTuple):
    """A client sent a message: its type, or "unknown", and its text."""

    connection: ConnectionState
    type: str
    text: bytes


class Answered(NamedTuple):
    """The relay answers with `body`; `texts` are its spellings on the wire."""

    connection: ConnectionState
    body: dict[str, Any]
    texts: tuple[bytes, ...]


class Sent(NamedTuple):
    """The whole answer to a request was passed to the transport; published only if `Relay.timed` is set.

    `type` is the request's, or "unknown"; `arrival` is the time of its last byte, in seconds of the monotonic clock.
    """

    connection: ConnectionState
    type: str
    arrival: float


class Decided(NamedTuple):
    """A fault matched: it strikes, or its probability spared the occasion."""

    decision: Decision


class Disconnected(NamedTuple):
    """A connection ended, and everything that it held was given back."""

    connection: ConnectionState
    reset: bool


Event = Connected | MessageReceived | Answered | Sent | Decided | Disconnected
Subscriber = Callable[[Any], None]
"""Receives the events to which it subscribed."""

KINDS: Final[tuple[type[Event], ...]] = (Connected, MessageReceived, Answered, Sent, Decided, Disconnected)


class Subscribers:
    """The subscribers of each kind of event; calling it publishes an event to them in the order of subscription."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[type[Event], tuple[Subscriber, ...]] = dict.fromkeys(KINDS, ())

    def add(self, subscriber: Subscriber, *kinds: type[Event]) -> None:
        """Subscribe to these kinds of events (default: all)."""
        for kind in kinds or KINDS:
            self._of[kind] += (subscriber,)

    def __call__(self, event: Event) -> None:
        """Publish an event."""
        for subscriber in self._of[type(event)]:
            subscriber(event)
