"""Who listens gets every entry in its turn, misses some rather than holding up the relay, and is told of the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.streams import BEHIND, Streams
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient, until


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Config(listen=Listen(port=0))) as simulator:
        yield simulator


def entry(event: str) -> dict[str, Any]:
    first, _, data = event.strip().partition("\n")
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert first == f"id: {found['number']}"
    return found


async def test_what_is_remembered_comes_first_and_nothing_twice(simulator: Simulator) -> None:
    streams = Streams(simulator.controls)
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        stream = streams.events(2)
        assert await anext(stream) == ": listening\n\n"
        await wire.ask(BEAT)
        found = [entry(await anext(stream)) for _ in range(5)]
    assert found == simulator.controls.transcript(2)[:5]
    assert [each["number"] for each in found] == [3, 4, 5, 6, 7]


async def test_who_reads_too_slowly_misses_some_and_is_told_of_the_end(simulator: Simulator) -> None:
    streams = Streams(simulator.controls)
    stream = streams.events(None)
    assert await anext(stream) == ": listening\n\n"
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        for _ in range(BEHIND // 2):
            await wire.ask(BEAT)
    await until(lambda: not simulator.controls.connections())
    streams.end()
    found = [entry(event) async for event in stream]
    last = simulator.controls.state()["entries"]
    assert last > BEHIND
    assert [each["number"] for each in found] == list(range(last - BEHIND + 2, last + 1))
    assert [event async for event in streams.events(None)] == [": listening\n\n"]


async def test_the_server_ends_without_breaking_off_a_listener(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    from cbspec_simulator.control.server import ControlServer

    server = ControlServer(simulator.controls, "127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b": listening")
        await server.close()
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()
    assert [
        record for record in caplog.records if record.name.startswith("uvicorn") and record.levelname == "ERROR"
    ] == []
