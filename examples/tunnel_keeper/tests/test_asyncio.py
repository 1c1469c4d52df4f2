"""Coroutines under pytest-asyncio: the keeper runs beside the test, in its loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("pytest_asyncio")
pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def running(keeper):
    """Have a keeper run."""
    task = asyncio.create_task(keeper.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_that_is_reset_is_made_anew(relay, keeper_of):
    async with running(keeper_of(relay)):
        await relay.transcript.async_wait_for("answer", "heartbeat_response")
        relay.drop()
        await relay.transcript.async_wait_for("answer", "tunnel_response", count=2)
        assert [connection.tunnels for connection in relay.connections] == [("desktop",)]


async def test_a_draining_relay_is_come_back_to(relay, keeper_of):
    async with running(keeper_of(relay, attempts=1000)):
        await relay.transcript.async_wait_for("answer", "heartbeat_response")
        relay.drain()
        relay.drop(how="close")
        refused = await relay.transcript.async_wait_for("answer", "error")
        assert refused.message["code"] == "server_unavailable"
        relay.drain(False)
        await relay.transcript.async_wait_for("answer", "heartbeat_response", behind=refused)


async def test_an_answer_that_comes_late_isn_t_taken_for_another_s(relay, keeper_of):
    with relay.fault("hold", when={"message": "tunnel_response"}) as held:
        async with running(keeper_of(relay)) as task:
            await relay.transcript.async_wait_for("answer", "tunnel_response")
            assert relay.transcript.requests("heartbeat") == []
            held.release()
            await relay.transcript.async_wait_for("answer", "heartbeat_response")
            assert not task.done()
