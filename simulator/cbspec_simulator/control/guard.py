"""Who is let in to the controls, and what browsers are told of every answer."""

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
"""What a browser may do with an answer: show it, ask here for more, and never take a text for HTML or a script."""


_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets nobody in without the token, and no other site's page.

    Without a token only loopback is served, by its own names: no web page may come in by another that leads there.

    Arguments: `token` is demanded as `Authorization: Bearer` where there is one, but of who asks for a `public` path: a
    browser can't send it for a page.
    """

    def __init__(self, app: ASGIApp, token: str | None, public: Collection[str]) -> None:
        self._app = app
        self._token = token
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, tell)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            # Another site's page can send a POST without a body, and needn't see the answer to do harm.
            return JSONResponse({"error": f"a page of {origin} has no business here"}, 403)
        if self._token is None:
            host = _without_port(headers.get("host", ""))
            wrong = f"the controls are asked for by one of {', '.join(_LOOPBACK)}, not as {host:.60}"
            return None if host in _LOOPBACK else JSONResponse({"error": wrong}, 400)
        if scope["path"] in self._public:
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self._token.encode()):
            return None
        said = {"error": "a token is demanded here: Authorization: Bearer TOKEN"}
        return JSONResponse(said, 401, {"WWW-Authenticate": "Bearer"})


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host
