"""The thread with an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cbspec_simulator.testing.thread import LoopThread


@pytest.fixture
def thread() -> LoopThread:
    return LoopThread("a test's")


def test_a_slow_coroutine_is_cancelled_and_so_is_one_that_runs_when_the_thread_is_closed(thread: LoopThread) -> None:
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    async def never() -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    with pytest.raises(TimeoutError):
        thread.run(never(), 0.01)
    assert begun.acquire(timeout=10)
    assert ended.acquire(timeout=10)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(thread.run, never())
        assert begun.acquire(timeout=10)
        thread.close()
        thread.close()
        with pytest.raises(RuntimeError, match="the relay was closed"):
            waiting.result()
    with pytest.raises(RuntimeError, match="the relay is closed"):
        thread.call(lambda: None)
