"""The servers that the simulator is compared with: `python -m bench.peers echo|websockets|node`.

`echo` is the simulator's TLS layer on asyncio, `websockets` the server of the websockets package without compression;
both return the bytes received. `node` is a relay's four exchanges on Node's tls module (relay.js).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import cast

from websockets.asyncio.server import ServerConnection, serve

from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.protocol.tls import TlsLayer
from cbspec.tls_contexts import server_context


class Echo(asyncio.Protocol):
    """One TLS connection."""

    def __init__(self, layer: TlsLayer) -> None:
        self._layer = layer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Return the plain text; close after the client has closed."""
        layer = self._layer
        if plain := layer.receive_data(data):
            layer.send(plain)
        if layer.ended:
            layer.close()
        if out := layer.data_to_send():
            self._transport.write(out)
        if layer.ended:
            self._transport.close()


def _listening(port: int) -> None:
    print(json.dumps({"port": port}), flush=True)


async def _echo(certificate: Path) -> None:
    context = server_context(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(TlsLayer(context, server_side=True)), "127.0.0.1", 0, backlog=1024)
    _listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _websockets(certificate: Path) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # clients that leave without a close frame
    async with serve(echo, "127.0.0.1", 0, ssl=server_context(certificate), compression=None) as server:
        _listening(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


def main(name: str) -> None:
    """Serve until the process is killed."""
    chain, key = development_ca().issue("127.0.0.1", "localhost")
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        Path(file.name).write_bytes(key + chain)
        if name == "node":
            script = Path(__file__).with_name("relay.js")
            os.set_inheritable(file.fileno(), True)
            Path(file.name).unlink()  # Node reads the open file; nothing removes the name after exec
            os.execlp("node", "node", str(script), f"/dev/fd/{file.fileno()}", DEVELOPMENT_SECRET)  # noqa: S606, S607 - our own script
        asyncio.run({"echo": _echo, "websockets": _websockets}[name](Path(file.name)))


if __name__ == "__main__":
    main(sys.argv[1])
