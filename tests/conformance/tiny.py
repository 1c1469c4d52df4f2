"""Relays of a few lines with real sockets, TLS and the development CA.

They speak lines of JSON or, if a connection begins as HTTP, WebSocket, with the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from cbspec.profile.identity import development_ca
from cbspec.profile.profile import Endpoint
from tests.conformance.build import HELLO_RESPONSE, SUCCESSES
from tests.support.relay import MessageSocket, over_tls, server, serving, tolerant

Answer = Callable[[bytes], bytes | Iterable[bytes] | None]
"""Returns the answer to a message: a message, pieces of raw output, or None."""

_SUCCESSES = {**SUCCESSES, "hello": {**HELLO_RESPONSE, "features": ["tls", "multi_tenancy"]}}


def accept(text: bytes) -> bytes:
    """Accept every message; unknown ones count as heartbeats."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        request = {}
    request = request if isinstance(request, dict) else {}
    answer = _SUCCESSES.get(str(request.get("type")), {"type": "heartbeat_response"})
    return json.dumps({**answer, "tunnel_id": request.get("tunnel_id") or "any"}).encode()


@contextlib.contextmanager
def tiny_relay(
    answer: Answer,
    folder: Path,
    *,
    websocket: bool = False,
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Iterator[Endpoint]:
    """Run a relay, with WebSocket on demand; each connection is served within the context `around()`."""
    chain, key = development_ca().issue("127.0.0.1")
    (folder / "server.pem").write_bytes(key + chain)
    context = server(folder / "server.pem")
    context.minimum_version = context.maximum_version = version

    def talk(tls: ssl.SSLSocket) -> None:
        channel = MessageSocket(tls, upgrades=websocket)
        with around():
            for text in channel.messages():
                reply = answer(text)
                if reply is not None:
                    for piece in [channel.encode(reply)] if isinstance(reply, bytes) else reply:
                        tls.sendall(piece)

    with serving(tolerant(over_tls(context, talk))) as endpoint:
        yield endpoint
