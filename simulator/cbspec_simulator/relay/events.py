"""The events of a relay, delivered to subscribers as they happen; an event carries no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, get_args

from cbspec.protocol.client_hello import read_client_hello
from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.faults.engine import Decision


class EndedBy(StrEnum):
    """Whose action ended a connection."""

    CLIENT = "client"
    RELAY = "relay"
    FAULT = "fault"
    CONTROL = "control"


class EndedHow(StrEnum):
    """How a connection ended.

    A WebSocket's close frame; a close_notify, or another alert of TLS; TCP's end alone; a reset; or the relay's
    time-out, after which the relay closes in its usual way.
    """

    CLOSE_FRAME = "close_frame"
    ALERT = "alert"
    CLOSE_NOTIFY = "close_notify"
    FIN = "fin"
    RESET = "reset"
    TIMEOUT = "timeout"


class TlsFacts(NamedTuple):
    """The facts of a completed handshake; a member is empty if the client sent nothing of the kind.

    `client_certificate` is the subject of the client's. `head` has the client's first bytes: they are parsed when a
    subscriber reads what the ClientHello says, since most never do.
    """

    version: str
    cipher: str
    client_certificate: str = ""
    resumed: bool = False
    head: bytes = b""

    @property
    def server_name(self) -> str:
        """The server's name in the ClientHello (SNI)."""
        return read_client_hello(self.head).server_name

    @property
    def alpn(self) -> str:
        """The application protocols in the ClientHello, separated by commas."""
        return ",".join(read_client_hello(self.head).protocols)

    @property
    def offered(self) -> tuple[str, ...]:
        """The versions of TLS in the ClientHello."""
        return read_client_hello(self.head).versions


class Accepted(NamedTuple):
    """A TCP connection was accepted: its number and the client's address."""

    number: int
    address: str


class Secured(NamedTuple):
    """The TLS handshake of a connection is complete."""

    number: int
    facts: TlsFacts


class NotSecured(NamedTuple):
    """The TLS handshake of a connection failed.

    `alert_sent` and `alert_received` are the alerts' names in RFC 8446 ("" if none). `server_name`, `alpn` and
    `offered` are those of the ClientHello, as in `TlsFacts`. `plain` holds the first bytes if they are no TLS.
    """

    number: int
    reason: str
    server_name: str = ""
    alert_sent: str = ""
    alert_received: str = ""
    plain: bytes = b""
    alpn: str = ""
    offered: tuple[str, ...] = ()


class BytesReceived(NamedTuple):
    """Plain text arrived inside TLS, whether or not it completes a message."""

    number: int
    data: bytes


class BytesSent(NamedTuple):
    """Plain text was passed to TLS and the socket, after all delays, cuts and ends."""

    number: int
    data: bytes


class ConnectionEnding(NamedTuple):
    """A connection's end began, by whose action and how; the first cause of several.

    `alert` is the name of the alert that ended it, "" if there was none. `connection` is None if no message was
    expected yet. `unfinished` holds the beginning of a message, `unparsed` counts the bytes of an incomplete frame.
    """

    number: int
    by: EndedBy
    how: EndedHow
    alert: str = ""
    connection: ConnectionState | None = None
    unfinished: bytes = b""
    unparsed: int = 0


class Unread(NamedTuple):
    """Plain text arrived that the relay doesn't read: it is silent, or has ended the connection.

    The data is a line, or the last bytes before the end.
    """

    number: int
    data: bytes


class Closed(NamedTuple):
    """The socket of a connection is closed; nothing follows.

    `unsent` counts the bytes of TLS that the socket did not take any more: the client read too little.
    """

    number: int
    unsent: int = 0


class Controlled(NamedTuple):
    """A control changed the relay: the name of the action, and its object."""

    action: str
    text: str = ""


class Connected(NamedTuple):
    """A connection's first bytes arrived."""

    connection: ConnectionState


class MessageReceived(NamedTuple):
    """A client sent a message: its type, or "unknown", and its text."""

    connection: ConnectionState
    type: str
    text: bytes


class Answered(NamedTuple):
    """The relay answers with `body`; `texts` are its spellings on the wire.

    `Delivered` is published for each text if `first` isn't 0: it is the number of the first one on the connection.
    `more` has, for each text, the bytes of padding that are inserted while it is sent; empty without padding.
    """

    connection: ConnectionState
    body: dict[str, Any]
    texts: tuple[bytes, ...]
    first: int = 0
    more: tuple[int, ...] = ()


@dataclass(slots=True)
class Delivered:
    """All bytes of the text with this number that will be sent were passed to the transport.

    `late`: they did not leave when the relay decided on the answer.
    """

    connection: ConnectionState
    text: int
    late: bool = False


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


Event = (
    Accepted
    | Secured
    | NotSecured
    | BytesReceived
    | BytesSent
    | ConnectionEnding
    | Unread
    | Closed
    | Controlled
    | Connected
    | MessageReceived
    | Answered
    | Delivered
    | Sent
    | Decided
    | Disconnected
)
Subscriber = Callable[[Any], None]
"""Receives the events to which it subscribed."""

KINDS: Final[tuple[type[Event], ...]] = get_args(Event)


class Subscribers:
    """The subscribers of each kind of event; calling it publishes an event to them in the order of subscription."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[type[Event], tuple[Subscriber, ...]] = dict.fromkeys(KINDS, ())

    def add(self, subscriber: Subscriber, *kinds: type[Event]) -> None:
        """Subscribe to these kinds of events (default: all)."""
        for kind in kinds or KINDS:
            self._of[kind] += (subscriber,)

    def wanted(self, kind: type[Event]) -> bool:
        """Return whether a kind of events has a subscriber."""
        return bool(self._of[kind])

    def __call__(self, event: Event) -> None:
        """Publish an event."""
        for subscriber in self._of[type(event)]:
            subscriber(event)
