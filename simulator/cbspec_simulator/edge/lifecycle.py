"""The events of one connection below its messages: accepted, secured or not, bytes, and the first cause of its end."""

from __future__ import annotations

from typing import Final

from cbspec.protocol.client_hello import is_tls, read_client_hello
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.tls_alerts import plain_alert
from cbspec_simulator.relay.events import (
    Accepted,
    BytesReceived,
    BytesSent,
    Ended,
    EndedBy,
    EndedHow,
    NotSecured,
    Secured,
    Subscribers,
    TlsFacts,
)

_HEAD: Final = 16 * 1024  # bytes: a ClientHello fills one TLS record at most, in practice
_PLAIN: Final = 4096  # bytes of plain text that are kept
_WAYS: Final = {
    EndedHow.CLOSE_NOTIFY: "closed the connection with close_notify",
    EndedHow.FIN: "closed the connection",
    EndedHow.RESET: "reset the connection",
}


class Lifecycle:
    """Publishes the events of a connection by `tell`; each but those of bytes at most once.

    `number` and `address` are the connection's.
    """

    __slots__ = ("_ended", "_head", "_number", "_open", "_tell")

    def __init__(self, tell: Subscribers, number: int, address: str) -> None:
        self._tell = tell
        self._number = number
        self._head = b""  # the first bytes of the handshake
        self._open = False  # whether the handshake is complete or has failed
        self._ended = False
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
        hello, self._head = read_client_hello(self._head), b""
        facts = TlsFacts(
            agreed.version,
            agreed.cipher,
            hello.server_name,
            ",".join(hello.protocols),
            agreed.certificate,
            agreed.resumed,
            hello.versions,
        )
        self._tell(Secured(self._number, facts))

    def failed(self, error: TlsFailed, sent: bytes, layer: TlsLayer) -> None:
        """Record the failure of a handshake or session, after which the bytes `sent` were sent."""
        received = error.alert_received
        alert = plain_alert(sent) or (error.alert_due if sent else "")
        if layer.established:
            self.secured(layer)
        self.refused(str(error), alert, received)
        if received:
            self.ended(EndedBy.CLIENT, EndedHow.ALERT, received)
        else:
            self.ended(EndedBy.RELAY, EndedHow.ALERT if alert else EndedHow.FIN, alert)

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

    def ended(self, by: EndedBy, how: EndedHow, alert: str = "") -> None:
        """Record the cause of the connection's end; later causes change nothing."""
        if self._ended:
            return
        self._ended = True
        if not self._open:
            self._not_secured(_unfinished(by, how, begun=bool(self._head)))
        self._tell(Ended(self._number, by, how, alert))

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
