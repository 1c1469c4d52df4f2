"""Heartbeats in the background of a context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cbspec_client.errors import Misuse


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
    async with supervised(_beat(heartbeat, interval)):
        yield


async def _beat(heartbeat: Callable[[], Awaitable[object]], interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        await heartbeat()


@asynccontextmanager
async def supervised(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` in a task while the context is open.

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
        yield
    except asyncio.CancelledError:
        if not interrupted or body.uncancel() > cancelling:
            raise
    finally:
        leaving = True
        await _end(task)
        if not task.cancelled():
            task.exception()  # asyncio reports an exception that is never looked at
    if interrupted:
        task.result()


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; a cancellation meanwhile is passed on to it, and raised afterwards."""
    cancelled = False
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
