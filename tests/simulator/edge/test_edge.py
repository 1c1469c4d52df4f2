"""What connections share: who is there, and when nobody is any more."""

from __future__ import annotations

import asyncio

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient, until


async def test_it_knows_who_is_there_until_the_last_is_gone() -> None:
    async with Simulator(Config(listen=Listen(port=0))) as simulator:
        edge = simulator.server.edge
        assert edge is not None
        await edge.emptied(PATIENCE)  # nobody came yet
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            assert [peer.number for peer in edge.peers.values()] == list(edge.peers) == [1]
            await edge.emptied(0.0)
            assert edge.peers, "it waits no longer than it is told to"
            gone = asyncio.create_task(edge.emptied(PATIENCE))
            assert (await wire.ask(BEAT))["type"]
            assert not gone.done()
        await gone
        await until(lambda: not edge.peers)
