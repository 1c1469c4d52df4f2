"""A session that reconnects by itself: it authenticates and opens its tunnels again, sends heartbeats, renews tokens.

async with stay_connected("relay.example", 8080, token=provider) as session:
    await session.open_tunnel("rdp", 3389, "192.168.1.100", 3389)
    await session.wait()
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

from cbspec.tls_contexts import Trust
from cbspec_client.client import connect
from cbspec_client.errors import ClientError, ConnectionLost, RelayError
from cbspec_client.events import (
    ConnectAttempted,
    ConnectionMade,
    HeartbeatAnswered,
    HeartbeatMissed,
    Listener,
    RetryScheduled,
    SessionEnded,
    SessionLost,
    SessionUp,
    TokenAccepted,
    TokenNotRenewed,
    TokenRenewed,
    TunnelOpened,
    ignore,
)
from cbspec_client.keepalive import Heartbeats, supervised
from cbspec_client.renewal import SessionTokens, TokenProvider
from cbspec_client.retrying import AttemptFailed, RetryPolicy
from cbspec_client.session import Passed, Transport
from cbspec_client.stages import AuthenticatedConnection, NewConnection, Timeouts, Tunnel

T = TypeVar("T")


class TunnelWish(NamedTuple):
    """A tunnel that a session opens on each of its connections."""

    tunnel_id: str
    local_port: int
    remote_host: str
    remote_port: int


class ReconnectingSession:
    """A session over as many connections as it needs, one after the other; created by `stay_connected`.

    Calls may come from several tasks. They wait while there is no connection, and begin again on the next one if theirs
    is lost. Once the session has ended, they raise its error.
    """

    def __init__(
        self,
        open_: Callable[[], AbstractAsyncContextManager[NewConnection]],
        tokens: SessionTokens,
        wishes: Iterable[TunnelWish],
        heartbeats: Heartbeats,
        policy: RetryPolicy,
        listener: Listener,
    ) -> None:
        self._open = open_
        self._tokens = tokens
        self._wishes = {wish.tunnel_id: wish for wish in wishes}
        self._tunnels: dict[str, Tunnel] = {}
        self._heartbeats = heartbeats
        self._policy = policy
        self._emit = listener
        self._connection: AuthenticatedConnection | None = None
        self._up_since = -math.inf
        self._token: str | None = None
        self._ended: Exception | None = None
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether the session is up: authenticated, with all tunnels open."""
        return self._connection is not None and self._connection.failure is None

    @property
    def tunnels(self) -> tuple[Tunnel, ...]:
        """The tunnels, those that were open before the connection was lost included."""
        return tuple(self._tunnels.values())

    async def open_tunnel(self, tunnel_id: str, local_port: int, remote_host: str, remote_port: int) -> Tunnel:
        """Open a tunnel, now and on each later connection; raises RelayError if it is refused.

        Source: Message Types / 3. Tunnel Management.
        """
        wish = TunnelWish(tunnel_id, local_port, remote_host, remote_port)
        tunnel = await self._asked(lambda connection: connection.open_tunnel(*wish))
        self._wishes[tunnel_id] = wish
        self._opened(tunnel)
        return tunnel

    async def heartbeat(self) -> float:
        """Send a heartbeat, in addition to those in the background; return the seconds until its answer.

        Source: Message Types / 4. Heartbeat.
        """
        return await self._asked(self._beat)

    async def until_up(self) -> None:
        """Wait until the session is up; raises its error if it ends before."""
        await self._current()

    async def wait(self) -> NoReturn:
        """Wait for the end of the session and raise its error."""
        while self._ended is None:
            await self._changed.wait()
        raise self._ended

    async def run(self) -> NoReturn:
        """Keep the session connected until an error ends it; raises the error."""
        try:
            while True:
                await self._policy.run(self._attempt, self._retrying)
        except asyncio.CancelledError:
            self._end(ConnectionLost("the session was closed here"))
            self._emit(SessionEnded(None))
            raise
        except Exception as error:
            self._end(error)
            self._emit(SessionEnded(error))
            raise

    # ------------------------------------------------------------ connections

    async def _attempt(self, number: int) -> None:
        """Hold one connection until a new token is due; raises AttemptFailed if it fails."""
        self._up_since = math.inf
        fresh: NewConnection | None = None
        try:
            token, self._token = self._token or await self._tokens.fetch(), None
            self._emit(ConnectAttempted(number))
            async with self._open() as fresh:
                self._emit(ConnectionMade(fresh.address))
                try:
                    connection = await (await fresh.hello()).authenticate(token)
                    await self._restore(connection)
                    await self._hold(connection, token)
                finally:
                    self._connection = None
                    self._notify()
        except ClientError as error:
            # Another caller may have raised the failure first.
            cause = fresh.failure if fresh is not None and isinstance(error, ConnectionLost) else None
            held = asyncio.get_running_loop().time() - self._up_since
            self._emit(SessionLost(cause or error, was_up=held >= 0))
            raise AttemptFailed(cause or error, held) from None

    async def _restore(self, connection: AuthenticatedConnection) -> None:
        """Open all tunnels; the session is up afterwards."""
        self._emit(TokenAccepted(connection.client_id, connection.tenant_id))
        for wish in list(self._wishes.values()):
            self._opened(await connection.open_tunnel(*wish))
        self._connection, self._up_since = connection, asyncio.get_running_loop().time()
        self._notify()
        self._emit(SessionUp(len(self._tunnels)))

    async def _hold(self, connection: AuthenticatedConnection, token: str) -> None:
        """Send heartbeats until a new token is there."""
        clock = asyncio.get_running_loop().time
        beat_at, renew_at = clock() + self._heartbeats.interval, clock() + self._tokens.due(token)
        while True:
            try:
                async with asyncio.timeout_at(min(beat_at, renew_at)):
                    await connection.until_disturbed()
            except TimeoutError:
                pass
            if clock() >= renew_at:
                if await self._renewed(token):
                    return
                renew_at = clock() + self._tokens.due(token)
            if clock() >= beat_at:
                self._emit(HeartbeatAnswered(await self._beat(connection)))
                beat_at = clock() + self._heartbeats.interval

    async def _renewed(self, token: str) -> bool:
        try:
            self._token = await self._tokens.renew(token)
        except ClientError as error:
            self._emit(TokenNotRenewed(error))
            return False
        self._emit(TokenRenewed() if self._token else TokenNotRenewed(None))
        return self._token is not None

    # ------------------------------------------------------------ requests

    async def _asked(self, request: Callable[[AuthenticatedConnection], Awaitable[T]]) -> T:
        """Send a request, again on the next connection if this one is lost."""
        while True:
            connection = await self._current()
            try:
                return await request(connection)
            except ClientError as error:
                if connection.failure is None or isinstance(error, RelayError):
                    raise
            while self._connection is connection:
                await self._changed.wait()

    async def _current(self) -> AuthenticatedConnection:
        while self._connection is None:
            if self._ended is not None:
                raise self._ended
            await self._changed.wait()
        return self._connection

    async def _beat(self, connection: AuthenticatedConnection) -> float:
        beats = self._heartbeats
        return await connection.heartbeat(
            limit=beats.timeout,
            misses=beats.misses,
            missed=lambda number: self._emit(HeartbeatMissed(number, beats.misses)),
        )

    def _opened(self, tunnel: Tunnel) -> None:
        self._tunnels[tunnel.tunnel_id] = tunnel
        self._emit(TunnelOpened(tunnel))

    def _retrying(self, number: int, delay: float, error: ClientError) -> None:
        self._emit(RetryScheduled(number, delay, error))

    def _end(self, error: Exception) -> None:
        self._ended = error
        self._notify()

    def _notify(self) -> None:
        """Wake all who wait for another state."""
        self._changed.set()
        self._changed = asyncio.Event()


@asynccontextmanager
async def stay_connected(
    host: str,
    port: int,
    *,
    token: str | TokenProvider,
    tunnels: Iterable[TunnelWish] = (),
    heartbeats: Heartbeats | None = None,
    retry: RetryPolicy | None = None,
    renew_before: float = 60.0,
    on_event: Listener = ignore,
    transport: Transport | Literal["tcp", "websocket"] = Transport.TCP,
    ca: Path | Trust = Trust.SYSTEM,
    server_name: str | None = None,
    path: str = "/",
    timeouts: Timeouts | None = None,
    exchange: Callable[[Passed], None] | None = None,
) -> AsyncIterator[ReconnectingSession]:
    """Keep a session with a relay during the context, which begins once the session is up.

    Arguments: `token` is a token, or a provider, which is asked before each connection and `renew_before` seconds
    before its last token expires; with a new token the session reconnects, since the protocol knows no second auth.
    `tunnels` are opened on each connection, `on_event` is called with each event; all others are those of `connect`.
    Raises the error that ends the session, also in the middle of the body, which is then cancelled: GaveUp after the
    last retry, or an error that no retry is worth.
    """
    limits = timeouts or Timeouts()
    options: dict[str, Any] = {"transport": transport, "ca": ca, "server_name": server_name, "path": path}
    session = ReconnectingSession(
        partial(connect, host, port, timeouts=limits, exchange=exchange, **options),
        SessionTokens(token, margin=renew_before, timeout=limits.answer),
        tunnels,
        heartbeats or Heartbeats(),
        retry or RetryPolicy(),
        on_event,
    )
    async with supervised(session.run()):
        await session.until_up()
        yield session
