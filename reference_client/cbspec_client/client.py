"""The asyncio client: one connection, whose stages allow only the requests that are in order.

async with connect("127.0.0.1", 8080, ca=Path("ca.pem")) as connection:
    greeted = await connection.hello()
    session = await greeted.authenticate(token)
    tunnel = await session.open_tunnel("rdp", 3389, "192.168.1.100", 3389)
    await session.heartbeat()
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from cbspec.keylog import KeyLogUnusable
from cbspec.tls_contexts import Trust, client_context
from cbspec_client.errors import Misuse
from cbspec_client.link import Link
from cbspec_client.session import ClientSession, Passed, Transport, authority
from cbspec_client.stages import NewConnection, RequestChannel, Timeouts


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    transport: Transport | Literal["tcp", "websocket"] = Transport.TCP,
    ca: Path | Trust = Trust.SYSTEM,
    server_name: str | None = None,
    path: str = "/",
    timeouts: Timeouts | None = None,
    exchange: Callable[[Passed], None] | None = None,
) -> AsyncIterator[NewConnection]:
    """Connect to a relay over TLS 1.3; close the connection at the end of the context.

    Arguments: `ca` is the trusted CA, `server_name` the name in the certificate (default: the host), `path` that of the
    WebSocket request; `exchange` is called with each message sent or received.
    Raises Misuse for invalid arguments, ConnectFailed or a subclass, RelayMisbehaved. Source: Notes / TLS 1.3.
    """
    limits, name = timeouts or Timeouts(), server_name or host
    kind, address = _transport(transport), authority(name, port)
    session = ClientSession(_context(ca), name, transport=kind, authority=address, path=path, exchange=exchange)
    link = await Link.open(session, host, port, limit=limits.connect, linger=limits.close)
    try:
        yield NewConnection(RequestChannel(session, link, limits))
    finally:
        await link.close()


def _transport(name: str) -> Transport:
    try:
        return Transport(name)
    except ValueError:
        raise Misuse(f"there is no transport {name!r}; there are: {', '.join(Transport)}") from None


def _context(ca: Path | Trust) -> ssl.SSLContext:
    try:
        return client_context(ca)
    except KeyLogUnusable as error:
        raise Misuse(str(error)) from None
    except ssl.SSLError:
        raise Misuse(f"{ca}: no certificate in PEM format") from None
    except OSError as error:
        raise Misuse(f"{ca}: {error.strerror or error}") from None
