"""What surrounds the messages: TLS, WebSocket, metrics, and how much a message may be."""

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
from cbspec_simulator.settings.config import Config, LimitSettings
from cbspec_simulator.variations.compose import Change, part, served_by
from cbspec_simulator.variations.open_points.kind import OpenPoint

_INVALID_DATA = 1007


def _own_names_only(context: ssl.SSLContext) -> None:
    def look(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name not in (None, "localhost") else None

    context.sni_callback = look


def _one_curve(context: ssl.SSLContext) -> None:
    context.set_ecdh_curve("prime256v1")


def _no_tickets(context: ssl.SSLContext) -> None:
    context.num_tickets = 0


def _websocket(make: Callable[[LimitSettings], WebSocketFramer]) -> Change:
    return part(websocket=make)


def _choosing(limits: LimitSettings) -> WebSocketFramer:
    """Choose the first subprotocol that a client offers."""

    def select(_: ServerProtocol, offered: Iterable[Any]) -> Any:  # noqa: ANN401 - websockets' own type of name
        return next(iter(offered), None)

    return WebSocketFramer(ServerProtocol(max_size=limits.max_message, select_subprotocol=select))


class _OnePath(ServerProtocol):
    """Answers 404 to every path but one."""

    def accept(self, request: Request) -> Response:
        if request.path != "/":
            return self.reject(HTTPStatus.NOT_FOUND, "nothing here\n")
        return super().accept(request)


class _NoContent(ServerProtocol):
    """Answers 204 to what asks for no WebSocket."""

    def accept(self, request: Request) -> Response:
        if "Upgrade" not in request.headers:
            return Response(204, "No Content", Headers())
        return super().accept(request)


class _Utf8Only(WebSocketFramer):
    """Fails a WebSocket whose text isn't UTF-8, as RFC 6455 has it (8.1)."""

    __slots__ = ()

    def next_frame(self) -> Any:  # noqa: ANN401 - a Frame or None
        frame = super().next_frame()
        try:
            if frame is not None and not frame.binary:
                frame.text.decode()
        except UnicodeDecodeError:
            self._protocol.fail(_INVALID_DATA, "a text that isn't UTF-8")
            return None
        return frame


def _plain_text(app: WsgiApp) -> WsgiApp:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        return app({name: value for name, value in environ.items() if name != "HTTP_ACCEPT"}, start_response)

    return application


def _large(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, max_message=4 * 1024 * 1024))


def _deep(config: Config) -> Config:
    return replace(config, limits=replace(config.limits, max_depth=256))


OPEN_POINTS = (
    OpenPoint(
        "unknown-server-name-refused",
        "CB-TLS-108",
        "A ClientHello that names another server is refused with unrecognized_name.",
        served_by(_own_names_only),
    ),
    OpenPoint("one-curve", "CB-TLS-102", "P-256 is the only group for the key exchange.", served_by(_one_curve)),
    OpenPoint("no-session-tickets", "CB-TLS-104", "No session tickets are given.", served_by(_no_tickets)),
    OpenPoint(
        "subprotocol-chosen",
        "CB-WSK-104",
        "The first subprotocol that a client offers is chosen.",
        _websocket(_choosing),
    ),
    OpenPoint(
        "one-path",
        "CB-WSK-103",
        "A WebSocket is opened at the path / only.",
        _websocket(lambda limits: WebSocketFramer(_OnePath(max_size=limits.max_message))),
    ),
    OpenPoint(
        "plain-request-answered-204",
        "CB-WSK-105",
        "An HTTP request that asks for no WebSocket is answered with status 204.",
        _websocket(lambda limits: WebSocketFramer(_NoContent(max_size=limits.max_message))),
    ),
    OpenPoint(
        "websocket-text-checked",
        "CB-WSK-101",
        "A WebSocket whose text isn't UTF-8 is closed with 1007.",
        _websocket(lambda limits: _Utf8Only.server(max_message=limits.max_message)),
    ),
    OpenPoint("metrics-in-plain-text", "CB-MET-102", "The metrics come as plain text only.", part(metrics=_plain_text)),
    OpenPoint("large-messages", "CB-ROB-101", "A message may have 4 MiB.", arrange=_large),
    OpenPoint("deep-messages", "CB-ROB-102", "A message may be nested 256 levels deep.", arrange=_deep),
)
