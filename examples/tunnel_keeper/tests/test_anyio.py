"""Coroutines under anyio's plugin, with one relay for the module, which is reset before each test."""

from __future__ import annotations

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """Run on asyncio, which the keeper uses."""
    return "asyncio"


async def test_heartbeats_are_answered(relay_module, keeper_of):
    with anyio.fail_after(20):
        await keeper_of(relay_module).keep(beats=3)
    assert len(relay_module.transcript.requests("heartbeat")) == 3
    relay_module.drain()  # has no effect on the next test


async def test_it_reconnects_after_an_hour(relay_module, keeper_of):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper_of(relay_module).keep)
        before = await relay_module.transcript.async_wait_for("answer", "heartbeat_response")
        relay_module.advance(3601)  # idle connections time out, and tokens expire
        await relay_module.transcript.async_wait_for("answer", "auth_response", after=before)
        await relay_module.transcript.async_wait_for("answer", "heartbeat_response", after=before)
        tasks.cancel_scope.cancel()
    assert "invalid_token" in [entry.message["code"] for entry in relay_module.transcript.answers("error")]


@pytest.mark.relay(faults=[{"kind": "dribble"}])
async def test_answers_in_pieces_are_read(relay_module, keeper_of):
    with anyio.fail_after(20):
        await keeper_of(relay_module).keep(beats=3)
