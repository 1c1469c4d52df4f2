"""Heartbeats in the background of a context."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cbspec_client.errors import ClientError, Misuse


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """When heartbeats are sent: every `interval` seconds; the defaults are those of deployed clients.

    A heartbeat is missed each time that `timeout` seconds pass without its answer. No other request is sent meanwhile.
    After more than `misses` in a row the connection is lost. Raises Misuse for values that are impossible.
    """

    interval: float = 30.0
    timeout: float = 5.0
    misses: int = 2

    def __post_init__(self) -> None:
        if self.interval <= 0 or self.timeout <= 0 or self.misses < 0:
            raise Misuse("heartbeats need an interval and a time-out of more than 0 s, and 0 misses or more")


@asynccontextmanager
async def kept_alive(heartbeat: Callable[[], Awaitable[object]], interval: float) -> AsyncIterator[None]:
    """Send a heartbeat every `interval` seconds while the context is open.

    If one raises an error, the body is cancelled and the error is raised instead.
    """
    stop = asyncio.Event()

    async def finish(beating: asyncio.Task[None]) -> None:
        stop.set()  # cancelling a pending heartbeat would end the connection
        with contextlib.suppress(ClientError):  # the next request raises the error
            await beating

    async with supervised(_beat(heartbeat, interval, stop), finish):
        yield


async def _beat(heartbeat: Callable[[], Awaitable[object]], interval: float, stop: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await stop.wait()
                return
        await heartbeat()


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; its own error is left to the task."""
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def supervised(
    work: Coroutine[Any, Any, None], finish: Callable[[asyncio.Task[None]], Awaitable[None]] = cancel
) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` in a task while the context is open; `finish` ends the task at the end of the context.

    If the task raises an error, the body is cancelled and the error is raised instead. When the context is left, the
    task has ended, also after further cancellations.
    """
    body = asyncio.current_task()
    assert body is not None  # noqa: S101 - a context manager is entered by a task
    cancelling = body.cancelling()
    task = asyncio.create_task(work)
    interrupted = leaving = False

    def interrupt(task: asyncio.Task[None]) -> None:
        nonlocal interrupted
        if not leaving and not task.cancelled() and task.exception() is not None:
            interrupted = True
            body.cancel()

    task.add_done_callback(interrupt)
    try:
        yield task
    except asyncio.CancelledError:
        if not interrupted or body.uncancel() > cancelling:
            raise
    finally:
        leaving = True
        if not task.done():
            await _ended(task, finish)
        if not task.cancelled():
            task.exception()  # asyncio reports an exception that is never looked at
    if interrupted:
        task.result()


async def _ended(task: asyncio.Task[None], finish: Callable[[asyncio.Task[None]], Awaitable[None]]) -> None:
    """Finish a task; a cancellation meanwhile is raised once it has ended."""
    try:
        await finish(task)
    finally:
        cancelled = False
        while not task.done():  # `finish` was cancelled
            task.cancel()
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError
