"""Heartbeats in the background: sent, counted, and the end of the body where the relay is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from cbspec.protocol.messages import Error, Heartbeat, HeartbeatResponse, Message, Violation
from cbspec_client import AnswerTimeout, ConnectionLost, RateLimitExceeded
from tests.reference_client.conftest import TIMEOUTS, Connect, MakeRelay
from tests.reference_client.test_client import opened
from tests.support.relay import Ending, ScriptedRelay, Step, except_for, happy

SLOW_DOWN = Error("rate_limit_exceeded", "slow down")


def heartbeats(server: ScriptedRelay) -> int:
    return sum(isinstance(message, Heartbeat) for message in server.messages)


async def test_heartbeats_are_sent_beside_other_requests(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        async with client.keep_alive(interval=0.01):
            for number in range(3):
                await server.until(lambda number=number: heartbeats(server) > number)  # type: ignore[misc]  # mypy infers no default's type
                await client.open_tunnel(f"t{number}", 1, "h", 2)
        sent = heartbeats(server)
        await client.heartbeat()
        assert heartbeats(server) == sent + 1


async def test_leaving_the_context_waits_for_no_interval(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        async with client.keep_alive(interval=3600):
            pass
        assert heartbeats(server) == 0


GONE: list[list[Step]] = [[], [Ending.CLOSE], [Ending.CUT], [Ending.RESET], [HeartbeatResponse(), Ending.CLOSE]]


@pytest.mark.parametrize("step", GONE)
async def test_a_relay_that_is_gone_ends_the_body(relay: MakeRelay, connecting: Connect, step: list[Step]) -> None:
    timeouts = TIMEOUTS if step else replace(TIMEOUTS, heartbeat=0.05)
    async with relay(except_for({Heartbeat: step})) as server, connecting(server.port, timeouts=timeouts) as client:
        await opened(client)
        with pytest.raises(ConnectionLost if step else AnswerTimeout):
            async with client.keep_alive(interval=0.01, failures=2):
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_refused_heartbeats_count_until_one_is_answered(relay: MakeRelay, connecting: Connect) -> None:
    answers: Iterator[Step] = iter([SLOW_DOWN, SLOW_DOWN, HeartbeatResponse(), SLOW_DOWN, SLOW_DOWN, SLOW_DOWN])

    def script(message: Message | Violation) -> Sequence[Step]:
        return [next(answers)] if isinstance(message, Heartbeat) else happy(message)

    async with relay(script) as server, connecting(server.port) as client:
        await opened(client)
        with pytest.raises(RateLimitExceeded):
            async with client.keep_alive(interval=0.01, failures=3):
                await asyncio.Event().wait()
        assert heartbeats(server) == 6


async def test_silence_is_borne_for_as_many_time_outs_as_failures(relay: MakeRelay, connecting: Connect) -> None:
    timeouts = replace(TIMEOUTS, heartbeat=0.05)
    async with relay(except_for({Heartbeat: []})) as server, connecting(server.port, timeouts=timeouts) as client:
        await opened(client)
        with pytest.raises(AnswerTimeout, match=r"within 0\.2 s"):
            async with client.keep_alive(interval=0.01, failures=4):
                await asyncio.Event().wait()
        await server.until(lambda: heartbeats(server) == 1)


async def test_an_exception_of_the_body_comes_through(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        with pytest.raises(ZeroDivisionError):
            async with client.keep_alive(interval=0.01):
                raise ZeroDivisionError
        await client.heartbeat()


async def test_a_body_that_is_cancelled_is_cancelled(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        inside = asyncio.Event()

        async def body() -> None:
            async with client.keep_alive(interval=0.01):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(body())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.heartbeat()
