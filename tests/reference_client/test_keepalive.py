"""Heartbeats in the background, and the end of the body if the relay is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from cbspec.protocol.messages import Error, Heartbeat, HeartbeatResponse, Message, Violation
from cbspec_client import AnswerTimeout, ConnectionLost, RateLimitExceeded
from tests.reference_client.conftest import TIMEOUTS, Connected, authenticate
from tests.support.relay import EndStep, ScriptedRelay, Step, happy

SLOW_DOWN = Error("rate_limit_exceeded", "slow down")


def heartbeats(server: ScriptedRelay) -> int:
    return sum(isinstance(message, Heartbeat) for message in server.messages)


async def test_heartbeats_are_sent_between_other_requests(connected: Connected) -> None:
    async with connected() as (client, server):
        await authenticate(client)
        async with client.keep_alive(interval=0.01):
            for number in range(3):
                expected = number + 1
                await server.until(lambda expected=expected: heartbeats(server) >= expected)  # type: ignore[misc]  # mypy infers no default's type
                await client.open_tunnel(f"t{number}", 1, "h", 2)
        sent = heartbeats(server)
        async with client.keep_alive(interval=3600):  # leaving it waits for no interval
            pass
        await client.heartbeat()
        assert heartbeats(server) == sent + 1


ENDS: list[list[Step]] = [[], [EndStep.CLOSE], [EndStep.CUT], [EndStep.RESET], [HeartbeatResponse(), EndStep.CLOSE]]


@pytest.mark.parametrize("steps", ENDS)
async def test_a_relay_that_is_gone_ends_the_body(connected: Connected, steps: list[Step]) -> None:
    timeouts = TIMEOUTS if steps else replace(TIMEOUTS, heartbeat=0.05)
    async with connected({Heartbeat: steps}, timeouts=timeouts) as (client, server):
        await authenticate(client)
        with pytest.raises(
            ConnectionLost if steps else AnswerTimeout, match="connection" if steps else r"within 0\.1 s"
        ):
            async with client.keep_alive(interval=0.01, failures=2):
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert heartbeats(server) == 1


async def test_refused_heartbeats_count_until_one_is_answered(connected: Connected) -> None:
    answers: Iterator[Step] = iter([SLOW_DOWN, SLOW_DOWN, HeartbeatResponse(), SLOW_DOWN, SLOW_DOWN, SLOW_DOWN])

    def script(message: Message | Violation) -> Sequence[Step]:
        return [next(answers)] if isinstance(message, Heartbeat) else happy(message)

    async with connected(script) as (client, server):
        await authenticate(client)
        with pytest.raises(RateLimitExceeded):
            async with client.keep_alive(interval=0.01, failures=3):
                await asyncio.Event().wait()
        assert heartbeats(server) == 6


async def test_a_cancellation_of_the_body_is_passed_on(connected: Connected) -> None:
    async with connected() as (client, _):
        await authenticate(client)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), client.keep_alive(interval=0.01):
                await asyncio.Event().wait()
        await client.heartbeat()
