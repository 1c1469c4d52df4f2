"""Access control of the HTTP controls, and the security headers of their answers."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every answer: a browser may load data from this host only, and must never guess a content type."""

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Middleware that refuses requests without the token, and those of other sites' pages.

    Without a token the Host header must be a loopback name, so that no web page can reach the controls by a DNS name
    of its own (DNS rebinding).

    Arguments: `token` is required as `Authorization: Bearer` if it isn't None, except for `public` paths, since a
    browser can't send it when it loads a page.
    """

    def __init__(self, app: ASGIApp, token: str | None, public: Collection[str]) -> None:
        self._app = app
        self._token = token
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            # A page of another site can send a POST without a body; it needs no answer to do harm.
            return JSONResponse({"error": f"pages of {origin} are not allowed here"}, 403)
        if self._token is None:
            host = _without_port(headers.get("host", ""))
            problem = f"the Host header must be one of {', '.join(_LOOPBACK)}, not {host:.60}"
            return None if host in _LOOPBACK else JSONResponse({"error": problem}, 400)
        if scope["path"] in self._public:
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        body = {"error": "a token is required: Authorization: Bearer TOKEN"}
        return JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
