"""Hostile peers against a running relay: each connection ends in time with its code or its close, and is cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from typing import Final

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.hostile import attacks
from tests.hostile.attacks import MIB
from tests.hostile.client_hello import record
from tests.support.client import BEAT, HELLO, AsyncClient, auth, until
from tests.support.relay import reset

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=1.0, idle_timeout=2.0))


async def everything_is_released(simulator: Simulator) -> None:
    await until(lambda: not simulator.relay.state.connections and not simulator.server.edge.peers)
    assert not simulator.relay.state.usage


REFUSED: Final = {
    "a line of 64 MiB": (attacks.LONG_LINE[:-MIB] + b"x" * 64 * MIB, False),
    "10^6 levels": (attacks.DEEP, False),
    "50,000 duplicate members": (attacks.MANY_TWICE, True),
    "a million spaces": (b" " * (2 * MIB) + b"{}\n", True),
}
"""Bytes sent after auth that draw unknown_message_type, and whether the connection stays open."""


async def send(client: AsyncClient, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for at in range(0, len(data), MIB):
            client.write(data[at : at + MIB])
            await client.writer.drain()


@pytest.mark.parametrize("name", REFUSED)
async def test_large_or_ambiguous_input_is_refused_in_time(name: str) -> None:
    data, stays = REFUSED[name]
    async with Simulator(CONFIG) as simulator:
        async with AsyncClient(simulator.address) as client:
            await client.greet()
            began = time.monotonic()
            answer = asyncio.create_task(client.line())
            await send(client, data)
            assert json.loads(await answer)["code"] == "unknown_message_type"
            if stays:
                assert (await client.ask(BEAT))["type"] == "heartbeat_response"
            else:
                with contextlib.suppress(ConnectionError):
                    assert await client.rest() == b""
            assert time.monotonic() - began < 15
        await everything_is_released(simulator)


def begun(address: tuple[str, int]) -> list[socket.socket]:
    """Return connections that have begun something and don't end it, below TLS and above it."""
    pairs = [(attacks.tcp, b""), (attacks.tcp, b"\x16\x03\x01\x02\x00\x01"), (attacks.tcp, record(b""))] + [
        (attacks.tls, data)
        for data in (
            b"", b"GET / HTTP/1.1\r\nHost: x\r\n", HELLO[:20], b'{"x":' + b"[" * 10**6,
            attacks.HANDSHAKE + b"\x81\xfe\x10\x00",
        )
    ]  # fmt: skip
    sockets = []
    for connect, data in pairs:
        sockets.append(connect(address))
        sockets[-1].sendall(data)
    return sockets


async def test_incomplete_input_is_closed_in_time() -> None:
    async with Simulator(CONFIG) as simulator:
        sockets = await asyncio.to_thread(begun, simulator.address)
        await everything_is_released(simulator)
        for sock in sockets:
            sock.close()


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
