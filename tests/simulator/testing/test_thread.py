"""The thread with an event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cbspec_simulator.testing.thread import LoopThread


@pytest.fixture
def thread() -> LoopThread:
    return LoopThread("a test's")


def test_calls_run_in_the_thread_and_return_their_result(thread: LoopThread) -> None:
    assert thread.call(lambda: threading.current_thread().name) == "a test's"

    async def later() -> int:
        await asyncio.sleep(0)
        return 7

    assert thread.run(later()) == 7
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0)
    thread.close()


def test_a_slow_coroutine_is_cancelled(thread: LoopThread) -> None:
    ended = threading.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        thread.run(never(), 0.01)
    assert ended.wait(10)
    thread.close()


def test_closing_cancels_running_coroutines(thread: LoopThread) -> None:
    said: list[str] = []
    waits = threading.Event()

    async def never() -> None:
        waits.set()
        await asyncio.Event().wait()

    def wait() -> None:
        try:
            thread.run(never())
        except RuntimeError as error:
            said.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert waits.wait(10)
    thread.close()
    thread.close()
    waiting.join(10)
    assert said == ["the relay was closed"]
    with pytest.raises(RuntimeError, match="the relay is closed"):
        thread.call(lambda: None)
