"""A client that is cancelled at any of its awaits leaves no task, socket or thread behind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import pytest

from cbspec_client import AnswerTimeout, Heartbeats, RetryPolicy, Timeouts, Transport, TunnelWish, stay_connected
from cbspec_simulator import LocalRelay
from tests.reference_client.conftest import TIMEOUTS, authenticate, connected
from tests.reference_client.leaks import Inventory

Client = Callable[[LocalRelay, Transport], Coroutine[Any, Any, None]]


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that calls `step` each time before it continues."""

    def __init__(self, inner: Coroutine[Any, Any, Any], step: Callable[[], None]) -> None:
        self._inner = inner
        self._step = step

    def send(self, value: Any) -> Any:  # noqa: ANN401 - any coroutine
        self._step()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - any coroutine
        self._step()
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


async def single(relay: LocalRelay, transport: Transport) -> None:
    """Run a session on one connection, with requests from two tasks and heartbeats."""
    async with connected(relay, transport=transport) as fresh:
        session = await authenticate(fresh, relay)
        async with session.heartbeats(Heartbeats(interval=0.001)), asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(session.open_tunnel(name, 1, "127.0.0.1", 2))
        await session.heartbeat()


async def reconnecting(relay: LocalRelay, transport: Transport) -> None:
    """Run a session that is refused, retried, lost and opened again."""

    async def provide() -> str:
        await asyncio.sleep(0)
        return relay.token()

    with relay.fault("error", code="server_unavailable", when={"message": "auth", "times": 1}):
        async with stay_connected(
            *relay.address,
            ca=relay.ca_file,
            transport=transport,
            token=provide,
            tunnels=[TunnelWish("a", 1, "127.0.0.1", 2)],
            heartbeats=Heartbeats(interval=0.001),
            retry=RetryPolicy(delay=0.001),
            timeouts=TIMEOUTS,
        ) as session:
            with relay.fault("close", when={"message": "heartbeat", "times": 1}):
                await session.open_tunnel("b", 1, "127.0.0.1", 2)
            await session.heartbeat()


async def unheard(relay: LocalRelay, transport: Transport) -> None:
    """Close a connection whose relay doesn't close its own half in time."""
    with relay.fault("hold", when={"message": "hello"}):
        brief = Timeouts(connect=TIMEOUTS.connect, answer=0.01, close=0.01)
        async with connected(relay, transport=transport, timeouts=brief) as fresh:
            with suppress(AnswerTimeout):
                await fresh.hello()


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("client", [single, reconnecting, unheard])
async def test_a_cancellation_at_any_await_leaves_nothing(
    relay_module: LocalRelay, client: Client, transport: Transport
) -> None:
    """Cancel the client after its first await, its second, and so on; those of all its tasks count."""
    for at in itertools.count(1):
        inventory = Inventory()
        steps, cancelled = await run_and_cancel(client(relay_module, transport), at)
        relay_module.drop()
        await inventory.check()
        if steps < at:
            break
    assert not cancelled
    assert at > 5


async def run_and_cancel(client: Coroutine[Any, Any, None], at: int) -> tuple[int, bool]:
    """Run a client and cancel it at a step; return the number of steps, and whether it was cancelled."""
    loop, steps = asyncio.get_running_loop(), itertools.count(1)
    taken = 0

    def step() -> None:
        nonlocal taken
        taken = next(steps)
        if taken == at:
            loop.call_soon(task.cancel)

    def stepped(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - as asyncio has it
        return asyncio.Task(Stepped(work, step), loop=loop, **options)

    loop.set_task_factory(stepped)
    try:
        task: asyncio.Task[None] = asyncio.create_task(client)
        await asyncio.wait([task])
    finally:
        loop.set_task_factory(None)
    if not task.cancelled():
        task.result()
    return taken, task.cancelled()
