"""The floor: a relay's answers by the libraries alone, on the simulator's own layers, and no relay at all.

PyJWT's decode, json's loads and dumps and the framers; no validation, limits, state, metrics, transcript or time-outs.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt

from bench.servers.bare import Echo, listening
from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.protocol.connection import Framer
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tokens.jwt import SigningKey
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour

_SECRET = SigningKey.hmac(DEVELOPMENT_SECRET).public
_FEATURES = ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"]


def answer(asked: dict[str, Any]) -> dict[str, object]:
    """Return what a relay answers to a good request."""
    kind = asked["type"]
    if kind == "heartbeat":
        return {"type": "heartbeat_response"}
    if kind == "hello":
        return {"type": "hello_response", "version": "1.0", "features": _FEATURES}
    if kind == "auth":
        said = jwt.decode(asked["token"], _SECRET, algorithms=["HS256"])
        return {"type": "auth_response", "status": "ok", "client_id": said["sub"], "tenant_id": said["tenant_id"]}
    return {"type": "tunnel_response", "status": "ok", "tunnel_id": asked["tunnel_id"]}


class Floor(Echo):
    """One connection: what comes is answered."""

    __slots__ = ("_framer",)

    def __init__(self, contexts: Contexts) -> None:
        super().__init__(contexts)
        self._framer: Framer | None = None

    def _take(self, plain: bytes) -> None:
        framer = self._framer
        if framer is None:
            framer = self._framer = WebSocketFramer.server() if plain.startswith(b"GET ") else StreamFramer()
        framer.feed(plain)
        if unasked := framer.data_to_send():
            self._layer.send(unasked)
        while frame := framer.next_frame():
            said = json.dumps(answer(json.loads(frame.text)), separators=(",", ":"))
            self._layer.send(framer.encode(said.encode()))


async def serve() -> None:
    """Serve until the process is ended."""
    contexts = Contexts(None, Behaviour(), ("127.0.0.1", "localhost"))
    await listening(lambda: Floor(contexts))


if __name__ == "__main__":
    asyncio.run(serve())
