"""Ways to speak WebSocket as RFC 6455 allows, and which transports are spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, both, part
from cbspec_simulator.variations.variants.closing import CLOSE_AFTER_ERROR
from cbspec_simulator.variations.variants.kind import Variant

Say = Callable[[Any, bytes], None]


class _OtherHeaders(ServerProtocol):
    """Names its headers in lower case, and more of them."""

    def accept(self, request: Request) -> Response:
        response = super().accept(request)
        pairs = [(name.lower(), value) for name, value in response.headers.raw_items()]
        response.headers.clear()
        for name, value in (*pairs, ("server", "relay"), ("x-request-id", "7"), ("set-cookie", "relay=7; Secure")):
            response.headers[name] = value
        return response


def _saying(say: Say) -> Change:
    """Write each message by a function of websockets' protocol object."""

    class Saying(WebSocketFramer):
        __slots__ = ()

        def encode(self, text: bytes) -> bytes:
            say(self._protocol, text)
            return self.data_to_send()

    return part(websocket=lambda limits: Saying.server(max_message=limits.max_message))


def _closing(status: int) -> Change:
    """Close with a status behind every error."""

    class Closing(WebSocketFramer):
        __slots__ = ()

        def close(self, code: int = status) -> None:
            super().close(code)

    return both(CLOSE_AFTER_ERROR, part(websocket=lambda limits: Closing.server(max_message=limits.max_message)))


def _fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:7], fin=False)
    protocol.send_continuation(text[7:8], fin=False)
    protocol.send_continuation(text[8:], fin=True)


def _empty_fragments(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(b"", fin=False)
    protocol.send_continuation(text, fin=False)
    protocol.send_continuation(b"", fin=True)


def _pings_before(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_ping(b"are you there?")
    protocol.send_text(text)


def _pings_between(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_text(text[:9], fin=False)
    protocol.send_ping(b"")
    protocol.send_continuation(text[9:], fin=True)


def _pongs_before(protocol: ServerProtocol, text: bytes) -> None:
    protocol.send_pong(b"nobody asked")
    protocol.send_text(text)


def _other_headers(limits: LimitSettings) -> WebSocketFramer:
    return WebSocketFramer(_OtherHeaders(max_size=limits.max_message))


def _over_websocket(id_: str, sentence: str, change: Change) -> Variant:
    return Variant(id_, sentence, change, transport="websocket")


VARIANTS = (
    Variant("tcp-only", "WebSocket is not spoken.", part(is_websocket=lambda _: False), transport="tcp"),
    _over_websocket("websocket-only", "Nothing but WebSocket is spoken.", part(is_websocket=lambda _: True)),
    _over_websocket("fragments", "WebSocket messages go out in three fragments.", _saying(_fragments)),
    _over_websocket(
        "empty-fragments", "WebSocket messages begin and end with an empty fragment.", _saying(_empty_fragments)
    ),
    _over_websocket("pings", "A ping goes before every WebSocket message.", _saying(_pings_before)),
    _over_websocket(
        "pings-between-fragments", "A ping goes between two fragments of a message.", _saying(_pings_between)
    ),
    _over_websocket(
        "pongs", "A pong that nobody asked for goes before every WebSocket message.", _saying(_pongs_before)
    ),
    _over_websocket(
        "upgrade-headers",
        "The 101 response names its headers in lower case, and has more of them.",
        part(websocket=_other_headers),
    ),
    *(
        _over_websocket(f"close-{status}", f"A WebSocket is closed with {status} behind every error.", _closing(status))
        for status in (1001, 1008, 1011)
    ),
)
