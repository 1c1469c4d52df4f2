"""The clock is given to the relay."""

from __future__ import annotations

from simulator import Clock, Config, Simulator
from simulator.config import Listen
from tests.simulator.client import HELLO, Wire, auth

ANY_PORT = Config(listen=Listen(port=0))


async def test_the_clock_is_given() -> None:
    clock = Clock(epoch=lambda: 0.0)
    async with Simulator(ANY_PORT, clock=clock) as simulator, Wire(simulator.address) as wire:
        await wire.ask(HELLO)
        assert (await wire.ask(auth(exp=1)))["type"] == "auth_response"
