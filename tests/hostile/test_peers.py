"""Resets in every state, and a clock that is set; the suite's cases for CB-ROB show that hostile input ends in time."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.hostile import attacks
from tests.support.client import BEAT, HELLO, AsyncClient, auth, until
from tests.support.relay import reset

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=1.0, idle_timeout=2.0))


async def everything_is_released(simulator: Simulator) -> None:
    await until(lambda: not simulator.relay.state.connections and not simulator.server.edge.peers)
    assert not simulator.relay.state.usage


async def test_a_reset_in_any_state_is_cleaned_up(caplog: pytest.LogCaptureFixture) -> None:
    async with Simulator(CONFIG) as simulator:
        for sock in await asyncio.to_thread(lambda: list(attacks.states(simulator.address))):
            reset(sock)
        await everything_is_released(simulator)
        async with AsyncClient(simulator.address) as client:
            await client.greet()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_clock_that_is_set_affects_tokens_only() -> None:
    ahead = 0.0
    async with (
        Simulator(CONFIG, clock=Clock(time.monotonic, lambda: time.time() + ahead)) as simulator,
        AsyncClient(simulator.address) as client,
    ):
        await client.greet()
        for step in (3600.0, -7200.0, 10 * 365 * 86400.0, -(10.0**9), 0.0):
            ahead = step
            assert (await client.ask(BEAT))["type"] == "heartbeat_response"
            async with AsyncClient(simulator.address) as other:
                await other.ask(HELLO)
                answer = await other.ask(auth(exp=int(time.time()) + 600))
                assert answer.get("code", answer["type"]) == ("invalid_token" if step > 600 else "auth_response")
