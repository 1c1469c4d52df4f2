"""A `refuse` fault closes the port for a time; open connections continue, and the same port opens again."""

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
from tests.support.client import BEAT, AsyncClient, until

REFUSE = Fault.read({"kind": "refuse"})
ANY_PORT = Config(listen=Listen(port=0))


async def accepts(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return False
    writer.transport.abort()
    return True


@contextlib.asynccontextmanager
async def opened(faults: Faults, clock: Clock, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    listener = Listener(asyncio.Protocol, faults, clock)
    await listener.open(host, 0)
    try:
        yield listener
    finally:
        listener.close()


async def test_the_fault_refuses_new_connections_only() -> None:
    async with Simulator(replace(ANY_PORT, faults=(REFUSE,))) as simulator:
        address = simulator.address
        assert not await accepts(address)
        simulator.relay.faults.reset()
        async with AsyncClient(address) as before:
            await before.greet()
            for _ in range(3):
                name = simulator.relay.faults.add(REFUSE, simulator.clock.monotonic())
                assert not await accepts(address)
                assert (await before.ask(BEAT))["type"] == "heartbeat_response"
                assert simulator.address == address
                simulator.relay.faults.remove(name)
                async with AsyncClient(address) as after:
                    await after.greet()


async def test_the_fault_begins_and_ends_by_the_clock() -> None:
    clock = Clock(lambda: 0.0)
    async with opened(faults := Faults(), clock) as listener:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 10, "end": 20}}), clock.monotonic())
        seen = []
        for _ in range(5):
            seen.append(await accepts(listener.addresses[0]))
            clock.advance(5.0)
        assert seen == [True, True, False, False, True]


async def test_the_fault_begins_and_ends_by_a_timer() -> None:
    async with opened(faults := Faults(), clock := Clock()) as listener:
        faults.add(Fault.read({"kind": "refuse", "when": {"begin": 0.05, "end": 0.1}}), clock.monotonic())
        began = clock.monotonic()
        await until(lambda: clock.monotonic() - began > 0.05 and not listener.listening)
        await until(lambda: listener.listening)
        assert clock.monotonic() - began >= 0.1
        assert await accepts(listener.addresses[0])


async def test_the_port_is_held_meanwhile() -> None:
    async with opened(faults := Faults(), Clock()) as listener:
        faults.add(REFUSE, 0.0)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(listener.addresses[0])


async def test_the_fault_concerns_every_address_of_the_host() -> None:
    async with opened(faults := Faults(), Clock(), "localhost") as listener:
        for _ in range(2):
            assert all([await accepts(address) for address in listener.addresses])
            faults.add(REFUSE, 0.0)
            assert not any([await accepts(address) for address in listener.addresses])
            faults.reset()


async def test_the_relay_listens_again_when_another_process_releases_the_port(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cbspec_simulator.edge.listener._RETRY", 0.01)
    async with opened(faults := Faults(), Clock()) as listener:
        faults.add(REFUSE, 0.0)
        for sock in listener._held:
            sock.close()
        with socket.socket() as other:
            other.bind(listener.addresses[0])
            other.listen()
            faults.reset()
            assert not listener.listening
            assert f"can't listen on port {listener.addresses[0][1]} again: Address already in use" in caplog.text
        await until(lambda: listener.listening)
        assert await accepts(listener.addresses[0])


async def test_a_closed_listener_ignores_faults_and_clock() -> None:
    faults, clock = Faults(), Clock()
    async with opened(faults, clock) as listener:
        address = listener.addresses[0]
    for _ in range(2):
        assert not await accepts(address)
        faults.add(REFUSE, 0.0)
        faults.reset()
        clock.advance(10.0)
