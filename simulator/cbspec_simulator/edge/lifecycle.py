"""The events of one connection below its messages: accepted, secured or not, bytes, and the first cause of its end."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.client_hello import is_tls, read_client_hello
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.tls_alerts import plain_alert
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.relay.events import (
    Accepted,
    BytesReceived,
    BytesSent,
    Closed,
    ConnectionEnding,
    EndedBy,
    EndedHow,
    NotSecured,
    Secured,
    Subscribers,
    TlsFacts,
    Unread,
)

_HEAD: Final = 16 * 1024  # bytes: a ClientHello fills one TLS record at most, in practice
_UNREAD: Final = 64 * 1024  # bytes of a line that are kept
_LINES: Final = 100  # lines of one read that have an event each; more are one event
_PLAIN: Final = 4096  # bytes of plain text that are kept
_WAYS: Final = {
    EndedHow.CLOSE_NOTIFY: "closed the connection with close_notify",
    EndedHow.FIN: "closed the connection",
    EndedHow.RESET: "reset the connection",
}


class Lifecycle:
    """Publishes the events of a connection by `tell`; each but those of bytes at most once.

    `number` and `address` are the connection's. `over` is set with the cause of the end.
    """

    __slots__ = ("_head", "_number", "_open", "_rest", "_tell", "_told", "over")

    def __init__(self, tell: Subscribers, number: int, address: str) -> None:
        self._tell = tell
        self._number = number
        self._head = b""  # the first bytes of the handshake
        self._open = False  # whether the handshake is complete or has failed
        self._rest = b""  # input without a line feed that the relay doesn't read
        self._told = 0  # bytes of it that were published with the end
        self.over = False
        tell(Accepted(number, address))

    def handshake(self, data: bytes) -> None:
        """Take bytes of the handshake from the client."""
        if len(self._head) < _HEAD and not self._open:
            self._head += data[:_HEAD]

    def secured(self, layer: TlsLayer) -> None:
        """Record the end of the handshake."""
        if self._open:
            return
        agreed = layer.agreement()
        if not agreed.version:
            self._not_secured("plain text is served instead of TLS")
            return
        self._open = True
        head, self._head = self._head, b""
        facts = TlsFacts(agreed.version, agreed.cipher, agreed.certificate, agreed.resumed, head)
        self._tell(Secured(self._number, facts))

    def failed(self, error: TlsFailed, sent: bytes, layer: TlsLayer) -> tuple[EndedBy, EndedHow, str]:
        """Record the failure of a handshake or session, after which the bytes `sent` were sent; return the cause."""
        received = error.alert_received
        alert = plain_alert(sent) or (error.alert_due if sent else "")
        if layer.established:
            self.secured(layer)
        self.refused(str(error), alert, received)
        if received:
            return EndedBy.CLIENT, EndedHow.ALERT, received
        return EndedBy.RELAY, EndedHow.ALERT if alert else EndedHow.FIN, alert

    def refused(self, reason: str, alert_sent: str, alert_received: str = "") -> None:
        """Record the failure of the handshake, if it isn't over."""
        if not self._open:
            self._not_secured(reason, alert_sent, alert_received)

    def received(self, data: bytes) -> None:
        """Record plain text that arrived."""
        if self._tell.wanted(BytesReceived):
            self._tell(BytesReceived(self._number, data))

    def sent(self, data: bytes) -> None:
        """Record plain text that was sent."""
        if self._tell.wanted(BytesSent):
            self._tell(BytesSent(self._number, data))

    def unread(self, data: bytes) -> None:
        """Record plain text that the relay doesn't read, by lines: half a token couldn't be redacted."""
        self.received(data)
        whole, feed, rest = (self._rest + data).rpartition(b"\n")
        if feed:
            lines = whole.split(b"\n") if whole.count(b"\n") < _LINES else [whole]
            for text in filter(bytes.strip, lines):
                self._tell(Unread(self._number, text + feed))
            self._told = 0
        self._rest = rest[:_UNREAD]

    def ended(
        self,
        by: EndedBy,
        how: EndedHow,
        alert: str = "",
        connection: ConnectionState | None = None,
        unfinished: bytes = b"",
    ) -> None:
        """Record the cause of the connection's end; later causes change nothing."""
        if self.over:
            return
        self.over = True
        if not self._open:
            self._not_secured(_unfinished(by, how, begun=bool(self._head)))
        self._rest = self._rest or unfinished[:_UNREAD]
        self._told = len(self._rest)
        framer = connection.framer if connection is not None else None
        unparsed = framer.unparsed if isinstance(framer, WebSocketFramer) else 0
        self._tell(ConnectionEnding(self._number, by, how, alert, connection, self._rest, unparsed))

    def closed(self, unsent: int = 0) -> None:
        """Record that the socket is closed, with so many unsent bytes."""
        if len(self._rest) > self._told:
            self._tell(Unread(self._number, self._rest))
        self._tell(Closed(self._number, unsent))

    def _not_secured(self, reason: str, alert_sent: str = "", alert_received: str = "") -> None:
        self._open = True
        head, self._head = self._head, b""
        plain = b"" if is_tls(head) else head[:_PLAIN]
        hello = read_client_hello(head)
        if plain:
            reason = f"the client sent plain text instead of TLS ({reason})"
        elif alert_received:
            reason = f"the client sent the alert {alert_received}"
        elif alert_sent == "protocol_version" and hello.versions:
            reason = f"{reason}: the client offers {', '.join(hello.versions)}"
        self._tell(
            NotSecured(
                self._number,
                reason,
                hello.server_name,
                alert_sent,
                alert_received,
                plain,
                ",".join(hello.protocols),
                hello.versions,
            )
        )


def _unfinished(by: EndedBy, how: EndedHow, *, begun: bool) -> str:
    """Return the reason for a handshake without an end."""
    when = "during the handshake" if begun else "before its first byte"
    if how is EndedHow.TIMEOUT:
        return "the handshake took too long" if begun else "the client sent nothing"
    who = {EndedBy.CLIENT: "the client", EndedBy.RELAY: "the relay", EndedBy.FAULT: "a fault"}.get(by, "a control")
    return f"{who} {_WAYS.get(how, 'ended the connection')} {when}"
