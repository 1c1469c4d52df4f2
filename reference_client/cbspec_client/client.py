"""The asyncio client: the protocol's four requests as coroutines.

async with connect("127.0.0.1", 8080, ca=Path("ca.pem")) as client:
    await client.hello()
    await client.authenticate(token)
    tunnel = await client.open_tunnel("rdp", 3389, "192.168.1.100", 3389)
    await client.heartbeat()
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from cbspec.protocol.messages import (
    Answer,
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Request,
    TunnelInfo,
    TunnelResponse,
)
from cbspec.protocol.state import State
from cbspec.tls_contexts import Trust, client_context
from cbspec_client.errors import AnswerTimeout, ConnectionLost, Misuse, refusal
from cbspec_client.keepalive import kept_alive
from cbspec_client.link import Link
from cbspec_client.session import ClientSession, Passed, Transport, authority

A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time-outs in seconds: for the handshakes, an answer, a heartbeat's answer, and the relay's close.

    All defaults except that of `close` are those of deployed clients.
    """

    connect: float = 10.0
    answer: float = 30.0
    heartbeat: float = 5.0
    close: float = 2.0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel that the relay opened."""

    tunnel_id: str
    tenant_id: str
    local_port: int
    remote_host: str
    remote_port: int


class Client:
    """One connection to a relay, created by `connect`.

    Only one request is pending at a time; concurrent calls wait. Cancelling a pending request ends the connection,
    since its answer could be mistaken for the answer to the next one.
    """

    def __init__(self, session: ClientSession, link: Link, timeouts: Timeouts) -> None:
        self._session = session
        self._link = link
        self._timeouts = timeouts
        self._lock = asyncio.Lock()
        self._tenant_id = ""

    @property
    def state(self) -> State:
        """The protocol state."""
        return State.CLOSED if self._link.failure is not None else self._session.state

    @property
    def address(self) -> str:
        """The address that answered first, of those that the relay's host name has."""
        return self._link.address

    @property
    def tenant_id(self) -> str:
        """The tenant in the relay's auth_response; empty before it."""
        return self._tenant_id

    async def hello(self, features: Iterable[str] = Hello().features) -> HelloResponse:
        """Send a hello with the features that this client supports. Source: Message Types / 1. Hello."""
        return await self._ask(Hello(features=tuple(features)), HelloResponse, self._timeouts.answer)

    async def authenticate(self, token: str) -> AuthResponse:
        """Send a token; raises RelayMisbehaved if the answer names another tenant than the token.

        Source: Message Types / 2. Authentication.
        """
        answer = await self._ask(Auth(token), AuthResponse, self._timeouts.answer)
        self._tenant_id = answer.tenant_id
        return answer

    async def open_tunnel(
        self, tunnel_id: str, local_port: int, remote_host: str, remote_port: int, *, tenant_id: str | None = None
    ) -> Tunnel:
        """Open a tunnel; the default `tenant_id` is that of the token.

        Source: Message Types / 3. Tunnel Management; Notes / multi-tenancy.
        """
        tenant = self._tenant_id if tenant_id is None else tenant_id
        request = TunnelInfo(tunnel_id, tenant, local_port, remote_host, remote_port)
        await self._ask(request, TunnelResponse, self._timeouts.answer)
        return Tunnel(tunnel_id, tenant, local_port, remote_host, remote_port)

    async def heartbeat(self) -> float:
        """Send a heartbeat; return the seconds until its answer.

        Source: Message Types / 4. Heartbeat.
        """
        return await self._heartbeat(self._timeouts.heartbeat)

    def keep_alive(self, *, interval: float = 30.0, failures: int = 3) -> AbstractAsyncContextManager[None]:
        """Return a context in which a heartbeat is sent every `interval` seconds.

        After `failures` refused heartbeats in a row, or that many time-outs without an answer, the body is cancelled
        and the context raises the last error.
        """
        return kept_alive(lambda: self._heartbeat(self._timeouts.heartbeat * failures), interval, failures)

    async def _heartbeat(self, limit: float) -> float:
        clock = asyncio.get_running_loop().time
        sent = clock()
        await self._ask(Heartbeat(), HeartbeatResponse, limit)
        return clock() - sent

    async def _ask(self, request: Request, expected: type[A], limit: float) -> A:
        async with self._lock:
            self._link.check()
            self._session.request(request)
            self._link.flush()
            try:
                async with asyncio.timeout(limit):
                    await self._link.until(lambda: self._session.answered)
            except TimeoutError:
                # The answer may have arrived while this process was suspended.
                if not self._session.answered:
                    self._link.fail(AnswerTimeout(f"no answer to the {request.type} within {limit:g} s"))
                    self._link.check()
            except asyncio.CancelledError:
                self._link.fail(ConnectionLost(f"the {request.type} was cancelled before its answer arrived"))
                raise
            answer = self._session.take_answer()
        if isinstance(answer, Error):
            raise refusal(answer)
        assert isinstance(answer, expected)  # noqa: S101 - the connection lets no other answer through
        return answer


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
) -> AsyncIterator[Client]:
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
        yield Client(session, link, limits)
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
    except ssl.SSLError:
        raise Misuse(f"{ca}: no certificate in PEM format") from None
    except OSError as error:
        raise Misuse(f"{ca}: {error.strerror or error}") from None
