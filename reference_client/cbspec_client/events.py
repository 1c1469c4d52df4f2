"""The events of a session that reconnects, each a record with a `name` for logs and JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from cbspec_client.errors import ClientError
from cbspec_client.stages import Tunnel


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """The base class."""

    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class ConnectAttempted(SessionEvent):
    """An attempt to connect begins; `attempt` is 1 for the first one in a row."""

    name = "connecting"
    attempt: int


@dataclass(frozen=True, slots=True)
class ConnectionMade(SessionEvent):
    """The handshakes are complete, with the relay at this address."""

    name = "connected"
    address: str


@dataclass(frozen=True, slots=True)
class TokenAccepted(SessionEvent):
    """The relay answered the auth."""

    name = "authenticated"
    client_id: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class TunnelOpened(SessionEvent):
    """A tunnel was opened, for the first time or again."""

    name = "tunnel_opened"
    tunnel: Tunnel


@dataclass(frozen=True, slots=True)
class SessionUp(SessionEvent):
    """All tunnels of the session are open."""

    name = "up"
    tunnels: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswered(SessionEvent):
    """A heartbeat was answered after `seconds`."""

    name = "heartbeat"
    seconds: float


@dataclass(frozen=True, slots=True)
class HeartbeatMissed(SessionEvent):
    """A time-out of a heartbeat passed; `allowed` may pass before the connection is lost."""

    name = "heartbeat_missed"
    missed: int
    allowed: int


@dataclass(frozen=True, slots=True)
class TokenRenewed(SessionEvent):
    """The provider returned a new token before the last one expires, so the session reconnects with it."""

    name = "token_renewed"


@dataclass(frozen=True, slots=True)
class TokenNotRenewed(SessionEvent):
    """The provider failed, or returned no token that expires later; the connection stays open."""

    name = "token_not_renewed"
    error: ClientError | None


@dataclass(frozen=True, slots=True)
class SessionLost(SessionEvent):
    """The attempt to connect failed, or the connection ended; `was_up` tells which."""

    name = "lost"
    error: ClientError
    was_up: bool


@dataclass(frozen=True, slots=True)
class RetryScheduled(SessionEvent):
    """The retry with this number, from 1, begins in `delay` seconds."""

    name = "retrying"
    number: int
    delay: float
    error: ClientError


@dataclass(frozen=True, slots=True)
class SessionEnded(SessionEvent):
    """The session has ended: with an error, or None if it was closed by its user."""

    name = "ended"
    error: Exception | None


Listener = Callable[[SessionEvent], object]
"""Called with each event. An exception that it raises ends the session."""


def ignore(event: SessionEvent) -> None:
    """Do nothing with an event."""
