"""WebSocket with other frames, as RFC 6455 allows, and relays with one transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.variations.parts import Change, both, part, websocket_by
from cbspec_simulator.variations.variants.closing import CLOSE_AFTER_ERROR


class _OtherHeaders(ServerProtocol):
    """Writes header names in lower case, and more headers."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        pairs = [(name.lower(), value) for name, value in response.headers.raw_items()]
        response.headers.clear()
        for name, value in (*pairs, ("server", "relay"), ("x-request-id", "7"), ("set-cookie", "relay=7; Secure")):
            response.headers[name] = value
        return response


def _sending(send: Callable[[Any, bytes], None]) -> Change:
    """Send each message by a function of the protocol object."""

    class SendingFramer(WebSocketFramer):
        __slots__ = ()

        def encode(self, text: bytes) -> bytes:
            send(self.protocol, text)
            return self.data_to_send()

    return websocket_by(ServerProtocol, SendingFramer)


def _closing(status: int) -> Change:
    """Close with a status after every error."""

    class ClosingFramer(WebSocketFramer):
        __slots__ = ()

        def close(self, code: int = status) -> None:
            super().close(code)

    return both(CLOSE_AFTER_ERROR, websocket_by(ServerProtocol, ClosingFramer))


def _fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:7], fin=False)
    protocol.send_continuation(text[7:8], fin=False)
    protocol.send_continuation(text[8:], fin=True)


def _empty_fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(b"", fin=False)
    protocol.send_continuation(text, fin=False)
    protocol.send_continuation(b"", fin=True)


def _ping_before(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_ping(b"are you there?")
    protocol.send_text(text)


def _ping_between(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:9], fin=False)
    protocol.send_ping(b"")
    protocol.send_continuation(text[9:], fin=True)


def _pong_before(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_pong(b"unsolicited")
    protocol.send_text(text)


CHANGES: dict[str, Change] = {
    "tcp-only": part(is_websocket=lambda _: False),
    "websocket-only": part(is_websocket=lambda _: True),
    "fragments": _sending(_fragments),
    "empty-fragments": _sending(_empty_fragments),
    "pings": _sending(_ping_before),
    "pings-between-fragments": _sending(_ping_between),
    "pongs": _sending(_pong_before),
    "upgrade-headers": websocket_by(_OtherHeaders),
    **{f"close-{status}": _closing(status) for status in (1001, 1008, 1011)},
}
