"""A port that is shut for a while: whoever connects is refused, who was there stays, and it opens where it was."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.edge.listener import Listener
from cbspec_simulator.faults.engine import Faults
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient, until

REFUSE = Fault.read({"kind": "refuse"})
ANY_PORT = Config(listen=Listen(port=0))


async def reached(address: tuple[str, int]) -> bool:
    """Say whether somebody accepts a connection."""
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return False
    writer.transport.abort()
    return True


@contextlib.asynccontextmanager
async def opened(faults: Faults, clock: Clock, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    """Open a door with nothing behind it."""
    door = Listener(asyncio.Protocol, faults, clock)
    await door.open(host, 0)
    try:
        yield door
    finally:
        door.close()


async def test_shut_while_the_fault_is_there() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as before:
        address = simulator.address
        await before.greet()
        for _ in range(3):
            name = simulator.relay.faults.add(REFUSE, simulator.clock.monotonic())
            assert not await reached(address)
            assert (await before.ask(BEAT))["type"] == "heartbeat_response"
            assert simulator.address == address
            simulator.relay.faults.remove(name)
            async with AsyncClient(address) as after:
                await after.greet()


async def test_shut_from_the_start() -> None:
    async with Simulator(replace(ANY_PORT, faults=(REFUSE,))) as simulator:
        assert not await reached(simulator.address)
        simulator.relay.faults.reset()
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()


async def test_its_time_comes_and_goes() -> None:
    clock = Clock(lambda: 0.0)
    async with opened(faults := Faults(), clock) as door:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 10, "end": 20}}), clock.monotonic())
        seen = []
        for _ in range(5):
            seen.append(await reached(door.addresses[0]))
            clock.advance(5.0)
        assert seen == [True, True, False, False, True]


async def test_nobody_needs_to_move_the_clock() -> None:
    async with opened(faults := Faults(), clock := Clock()) as door:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 0.05, "end": 0.1}}), clock.monotonic())
        began = clock.monotonic()
        await until(lambda: clock.monotonic() - began > 0.05 and not door.listening)
        await until(lambda: door.listening)
        assert clock.monotonic() - began >= 0.1
        assert await reached(door.addresses[0])


async def test_the_port_is_held_meanwhile() -> None:
    async with opened(faults := Faults(), Clock()) as door:
        faults.add(REFUSE, 0.0)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(door.addresses[0])


async def test_every_address_of_the_host() -> None:
    async with opened(faults := Faults(), Clock(), "localhost") as door:
        places = door.addresses
        assert all([await reached(place) for place in places])
        faults.add(REFUSE, 0.0)
        assert not any([await reached(place) for place in places])
        faults.reset()
        assert all([await reached(place) for place in places])


async def test_changes_that_follow_each_other_at_once() -> None:
    async with opened(faults := Faults(), Clock()) as door:
        for _ in range(5):
            faults.add(REFUSE, 0.0)
            faults.reset()
        assert await reached(door.addresses[0])
        faults.add(REFUSE, 0.0)
        faults.reset()
        faults.add(REFUSE, 0.0)
        await until(lambda: not door.listening)
        assert not await reached(door.addresses[0])


async def test_somebody_took_the_port(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbspec_simulator.edge.listener._PATIENCE", 0.01)
    async with opened(faults := Faults(), Clock()) as door:
        faults.add(REFUSE, 0.0)
        for sock in door._held:
            sock.close()
        with socket.socket() as other:
            other.bind(door.addresses[0])
            other.listen()
            faults.reset()
            assert not door.listening
            assert f"can't listen on port {door.addresses[0][1]} again: Address already in use" in caplog.text
        async with asyncio.timeout(PATIENCE):
            await until(lambda: door.listening)
        assert await reached(door.addresses[0])


async def test_closed_is_closed() -> None:
    faults, clock = Faults(), Clock()
    async with opened(faults, clock) as door:
        address = door.addresses[0]
        faults.add(REFUSE, 0.0)
        faults.reset()
    assert not await reached(address)
    faults.add(REFUSE, 0.0)
    faults.reset()
    clock.advance(10.0)
    assert not await reached(address)
