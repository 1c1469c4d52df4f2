"""The `websockets` package's own asyncio server, without deflate: what comes goes back."""

from __future__ import annotations

import asyncio
import json
import logging

from websockets.asyncio.server import ServerConnection, serve

from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.relay.behaviour import Behaviour


async def echo(connection: ServerConnection) -> None:
    """Send back what came."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    """Serve until the process is ended."""
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # clients that are gone at the end
    contexts = Contexts(None, Behaviour(), ("127.0.0.1", "localhost"))
    async with serve(echo, "127.0.0.1", 0, ssl=contexts.own, compression=None) as server:
        print(json.dumps({"port": next(iter(server.sockets)).getsockname()[1]}), flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
