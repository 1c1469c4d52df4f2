"""Coroutines under anyio's plugin, with one relay for the module: it begins anew for each test."""

from __future__ import annotations

import anyio
import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """Name the loop that the keeper is written for."""
    return "asyncio"


async def test_it_beats(relay_module, keeper_of):
    with anyio.fail_after(20):
        await keeper_of(relay_module).keep(beats=3)
    assert len(relay_module.transcript.requests("heartbeat")) == 3
    relay_module.drain()  # of no consequence for the next test


async def test_it_comes_back_when_time_has_gone_by(relay_module, keeper_of):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper_of(relay_module).keep)
        before = await relay_module.transcript.async_wait_for("answer", "heartbeat_response")
        relay_module.advance(3601)  # connections have been silent for too long, tokens have expired
        await relay_module.transcript.async_wait_for("answer", "auth_response", behind=before)
        await relay_module.transcript.async_wait_for("answer", "heartbeat_response", behind=before)
        tasks.cancel_scope.cancel()
    assert "invalid_token" in [entry.message["code"] for entry in relay_module.transcript.answers("error")]


@pytest.mark.relay(faults=[{"kind": "dribble"}])
async def test_answers_in_pieces_are_answers(relay_module, keeper_of):
    with anyio.fail_after(20):
        await keeper_of(relay_module).keep(beats=3)
