"""A session that reconnects, for threads: blocking calls to the same session in an event loop of its own.

with stay_connected_blocking("relay.example", 8080, token=provider) as session:
    session.open_tunnel("rdp", 3389, "192.168.1.100", 3389)
    session.wait(60.0)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from typing import Any, TypeVar

from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from cbspec_client.reconnecting import ReconnectingSession, stay_connected
from cbspec_client.stages import Tunnel

T = TypeVar("T")


class BlockingSession:
    """A session whose calls block; created by `stay_connected_blocking`. Any thread may call it."""

    def __init__(self, portal: BlockingPortal, session: ReconnectingSession, ended: Future[None]) -> None:
        self._portal = portal
        self._session = session
        self._ended = ended

    @property
    def connected(self) -> bool:
        """Whether the session is up: authenticated, with all tunnels open."""
        return self._session.connected

    @property
    def tunnels(self) -> tuple[Tunnel, ...]:
        """The tunnels, those that were open before the connection was lost included."""
        return self._session.tunnels

    def open_tunnel(self, tunnel_id: str, local_port: int, remote_host: str, remote_port: int) -> Tunnel:
        """Open a tunnel, now and on each later connection; raises RelayError if it is refused."""
        return self._call(lambda: self._session.open_tunnel(tunnel_id, local_port, remote_host, remote_port))

    def heartbeat(self) -> float:
        """Send a heartbeat, in addition to those in the background; return the seconds until its answer."""
        return self._call(self._session.heartbeat)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of the session, at most some seconds, and raise its error."""
        try:
            self._ended.result(seconds)
        except NotYet:
            if self._ended.done():
                raise

    def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        return self._portal.call(request)


@contextmanager
def stay_connected_blocking(host: str, port: int, **options: Any) -> Iterator[BlockingSession]:  # noqa: ANN401 - those of the asyncio function
    """Keep a session with a relay during the context, which begins once the session is up.

    Arguments and errors are those of `stay_connected`; the provider and `on_event` are called in the session's thread.
    If the session has ended, its error is raised by the next call, `wait`, or the end of the context.
    """
    with start_blocking_portal() as portal:
        leave = portal.call(asyncio.Event)

        async def hold(*, task_status: TaskStatus[ReconnectingSession]) -> None:
            async with stay_connected(host, port, **options) as session:
                task_status.started(session)
                await leave.wait()

        ended, session = portal.start_task(hold)
        try:
            yield BlockingSession(portal, session, ended)
        except BaseException:
            portal.call(leave.set)
            raise
        portal.call(leave.set)
        ended.result()
