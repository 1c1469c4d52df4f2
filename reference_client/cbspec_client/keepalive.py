"""Heartbeats in the background of a context."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cbspec_client.errors import ClientError, RelayError


@asynccontextmanager
async def kept_alive(heartbeat: Callable[[], Awaitable[object]], interval: float, failures: int) -> AsyncIterator[None]:
    """Send a heartbeat every `interval` seconds while the context is open.

    After `failures` refusals in a row, or any error that ends the connection, the body is cancelled and the error is
    raised instead.
    """
    body = asyncio.current_task()
    assert body is not None  # noqa: S101 - a context manager is entered by a task
    cancelling = body.cancelling()
    stop = asyncio.Event()
    beating = asyncio.create_task(_beat(heartbeat, interval, failures, stop))
    interrupted = False

    def interrupt(task: asyncio.Task[None]) -> None:
        nonlocal interrupted
        if not stop.is_set() and not task.cancelled() and task.exception() is not None:
            interrupted = True
            body.cancel()

    beating.add_done_callback(interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interrupted or body.uncancel() > cancelling:
            raise
    finally:
        # Cancelling a pending heartbeat would end the connection.
        stop.set()
        if not interrupted:
            with contextlib.suppress(ClientError):  # the next request raises the error
                await beating
    if interrupted:
        beating.result()


async def _beat(
    heartbeat: Callable[[], Awaitable[object]], interval: float, failures: int, stop: asyncio.Event
) -> None:
    failed = 0
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), interval)
            return
        try:
            await heartbeat()
            failed = 0
        except RelayError:
            failed += 1
            if failed >= failures:
                raise
