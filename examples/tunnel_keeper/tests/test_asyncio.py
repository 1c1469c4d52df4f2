"""Coroutines under pytest-asyncio: the keeper runs in the event loop of the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("pytest_asyncio")
pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def running(keeper):
    """Run a keeper during the block."""
    task = asyncio.create_task(keeper.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_reconnects_after_a_reset(relay, keeper_of):
    async with running(keeper_of(relay)):
        await relay.transcript.async_wait_for("answer", "heartbeat_response")
        relay.drop()
        await relay.transcript.async_wait_for("answer", "tunnel_response", count=2)
        assert [connection.tunnels for connection in relay.connections] == [("desktop",)]


async def test_it_returns_to_a_relay_that_was_draining(relay, keeper_of):
    async with running(keeper_of(relay, attempts=1000)):
        await relay.transcript.async_wait_for("answer", "heartbeat_response")
        relay.drain()
        relay.drop(how="close")
        refused = await relay.transcript.async_wait_for("answer", "error")
        assert refused.message["code"] == "server_unavailable"
        relay.drain(False)
        await relay.transcript.async_wait_for("answer", "heartbeat_response", after=refused)


async def test_it_waits_for_a_late_answer(relay, keeper_of):
    with relay.fault("hold", when={"message": "tunnel_response"}) as held:
        async with running(keeper_of(relay)) as task:
            await relay.transcript.async_wait_for("answer", "tunnel_response")
            assert relay.transcript.requests("heartbeat") == []
            held.release()
            await relay.transcript.async_wait_for("answer", "heartbeat_response")
            assert not task.done()
