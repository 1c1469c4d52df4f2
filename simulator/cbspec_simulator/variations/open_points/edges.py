"""TLS, WebSocket, metrics, and the size of messages."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.relay.behaviour import WsgiApp
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.parts import Change, part, served_by, websocket_by

_INVALID_DATA = 1007


def _own_names_only(context: ssl.SSLContext) -> None:
    def selected(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name not in (None, "localhost") else None

    context.sni_callback = selected


def _first_subprotocol(_: ServerProtocol, offered: Iterable[Any]) -> Any:  # noqa: ANN401 - websockets' own type
    return next(iter(offered), None)


def _no_tickets(context: ssl.SSLContext) -> None:
    context.num_tickets = 0


class _OnePath(ServerProtocol):
    """Answers 404 on every path but one."""

    def accept(self, request: Request) -> Response:
        if request.path != "/":
            return self.reject(HTTPStatus.NOT_FOUND, "not found\n")
        return super().accept(request)


class _NoContent(ServerProtocol):
    """Answers 204 to requests without an upgrade."""

    def accept(self, request: Request) -> Response:
        if "Upgrade" not in request.headers:
            return Response(204, "No Content", Headers())
        return super().accept(request)


class _Utf8Only(WebSocketFramer):
    """Fails a WebSocket whose text isn't UTF-8 (Source: RFC 6455, 8.1)."""

    def next_message(self) -> Any:  # noqa: ANN401 - a Frame or None
        frame = super().next_message()
        try:
            if frame is not None and not frame.binary:
                frame.text.decode()
        except UnicodeDecodeError:
            self.protocol.fail(_INVALID_DATA, "text that isn't UTF-8")
            return None
        return frame


def _plain_text(app: WsgiApp) -> WsgiApp:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        return app({name: value for name, value in environ.items() if name != "HTTP_ACCEPT"}, start_response)

    return application


def _limited(**limits: int) -> Callable[[Config], Config]:
    return lambda config: replace(config, limits=replace(config.limits, **limits))


CHANGES: dict[str, Change] = {
    "unknown-server-name-refused": served_by(_own_names_only),
    "one-curve": served_by(lambda context: context.set_ecdh_curve("prime256v1")),
    "no-session-tickets": served_by(_no_tickets),
    "subprotocol-chosen": websocket_by(ServerProtocol, select_subprotocol=_first_subprotocol),
    "one-path": websocket_by(_OnePath),
    "plain-request-answered-204": websocket_by(_NoContent),
    "websocket-text-checked": websocket_by(ServerProtocol, _Utf8Only),
    "metrics-in-plain-text": part(metrics=_plain_text),
}

ARRANGED = {
    "large-messages": _limited(max_message=4 * 1024 * 1024),
    "deep-messages": _limited(max_depth=256),
}
