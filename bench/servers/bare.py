"""TLS by the simulator's own layer, on the simulator's own loop, and nothing else: what comes goes back.

The transport is asyncio's; with the argument `line` it is the simulator's own.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from typing import cast

from cbspec.protocol.tls import TlsLayer
from cbspec_simulator.edge.acceptor import BACKLOG, Acceptor
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour


class Echo(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_layer", "_transport")

    def __init__(self, contexts: Contexts) -> None:
        self._layer = TlsLayer(contexts.own, server_side=True)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what came, and end where the client does."""
        layer = self._layer
        if plain := layer.receive_data(data):
            self._take(plain)
        if layer.ended:
            layer.close()
        if out := layer.data_to_send():
            self._transport.write(out)
        if layer.ended:
            self._transport.close()

    def _take(self, plain: bytes) -> None:
        self._layer.send(plain)


async def listening(meet: Callable[[], asyncio.Protocol]) -> None:
    """Serve on the simulator's own transport until the process is ended."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    Acceptor(sock, meet)
    print(json.dumps({"port": sock.getsockname()[1]}), flush=True)
    await asyncio.Event().wait()


async def serve() -> None:
    """Serve until the process is ended."""
    contexts = Contexts(None, Behaviour(), ("127.0.0.1", "localhost"))
    if sys.argv[1:] == ["line"]:
        await listening(lambda: Echo(contexts))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(contexts), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
