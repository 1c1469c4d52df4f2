"""The same bytes, put on the wire in another way."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from cbspec.protocol.tls import TlsLayer
from tests.simulator.variations.variants.probe import serving
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, auth, context

_ANSWER = b'{"type":"heartbeat_response"}\n'


async def _records(*ids: str, requests: bytes = BEAT, size: int = len(_ANSWER)) -> list[bytes]:
    """Return the plain text of each TLS record that comes back for requests sent in one."""
    async with serving(*ids) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        layer = TlsLayer(context(), server_side=False, server_name="localhost")
        found: list[bytes] = []

        async def until(enough: int) -> None:
            writer.write(layer.data_to_send())
            async with asyncio.timeout(PATIENCE):
                while len(b"".join(found)) < enough or not layer.established:
                    head = await reader.readexactly(5)
                    plain = layer.receive_data(head + await reader.readexactly(int.from_bytes(head[3:], "big")))
                    found.extend([plain] if plain else [])
                    writer.write(layer.data_to_send())

        await until(0)
        for opening in (HELLO, auth()):
            found.clear()
            layer.send(opening)
            await until(len(b'{"type":"auth_response"}'))
            while not b"".join(found).endswith(b"\n"):
                await until(len(b"".join(found)) + 1)
        found.clear()
        layer.send(requests)
        await until(size)
        writer.close()
        return found


async def test_pieces() -> None:
    assert await _records() == [_ANSWER]
    assert await _records("dribble") == [bytes([byte]) for byte in _ANSWER]
    assert await _records("split-records") == [_ANSWER[:15], _ANSWER[15:]]
    assert await _records("trickle") == [_ANSWER[:16], _ANSWER[16:]]


async def test_merged() -> None:
    three = {"requests": BEAT * 3, "size": 3 * len(_ANSWER)}
    assert await _records(**three) == [_ANSWER] * 3  # type: ignore[arg-type]
    assert await _records("merged-answers", **three) == [_ANSWER * 3]  # type: ignore[arg-type]


async def _times(id_: str, number: int) -> list[float]:
    """Say after how many seconds each heartbeat was answered."""
    async with serving(id_) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        found = []
        for _ in range(number):
            began = time.monotonic()
            assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
            found.append(time.monotonic() - began)
        return found


async def test_pauses() -> None:
    assert min(await _times("slow", 2)) >= 0.29
    uneven = await _times("jittery", 8)
    assert max(uneven) >= 0.24
    assert min(uneven) < max(uneven) / 2


async def test_pieces_come_apart() -> None:
    assert min(await _times("trickle", 3)) >= 0.009


@pytest.mark.parametrize("id_", ["slow", "jittery", "trickle"])
async def test_answers_that_are_late_keep_their_order_and_none_is_lost(id_: str) -> None:
    async with serving(id_) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write((BEAT + b'{"type":"x"}\n') * 5)
        kinds = [json.loads(await wire.line())["type"] for _ in range(10)]
        assert kinds == ["heartbeat_response", "error"] * 5
