"""Hostile peers against a running relay: each ends in time with its code or its close, and nothing is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.settings.config import LimitSettings, Listen, RelaySettings
from tests.hostile import attacks
from tests.hostile.attacks import MIB, Target
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, AsyncWebSocket, auth, tunnel, until

CONFIG: Final = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=1.0, idle_timeout=2.0))


async def left_nothing(simulator: Simulator) -> None:
    """See that every connection is gone, and gave back what it held."""
    await until(lambda: not simulator.relay.state.connections and not simulator.server.edge.peers)
    assert not simulator.relay.state.usage


# What is sent in one piece, on a connection that is authenticated; whether it stays open; and the codes that come.
REFUSED: Final[dict[str, tuple[bytes, bool]]] = {
    "a line of 64 MiB": (attacks.LONG_LINE[:-MIB] + b"x" * 64 * MIB, False),
    "an object of 64 MiB": (b'{"x":[' + b"1," * 32 * MIB, False),
    "JSON of a million levels, without an end": (b'{"x":' + b"[" * 10**6, True),
    "JSON of a million levels": (attacks.DEEP, False),
    "JSON of 65 levels": (b'{"type":"heartbeat","x":' + b"[" * 64 + b"]" * 64 + b"}\n", True),
    "half a million levels": (b'{"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}\n", True),
    "a member twice": (attacks.TWICE, True),
    "a member fifty thousand times": (attacks.MANY_TWICE, True),
    "a member twice, deep in it": (b'{"type":"heartbeat","x":[{"a":1,"a":1}]}\n', True),
    "a number of 5,000 digits": (b'{"type":"heartbeat","x":' + b"9" * 5000 + b"}\n", True),
    "a million blanks": (b" " * (2 * MIB) + b"{}\n", True),
    "half a surrogate pair": (b'{"type":"heartbeat","x":"\\ud800"}\n', True),
    "no UTF-8": (b'{"type":"heartbeat","x":"' + b"\xff" * (MIB // 2) + b'"}\n', True),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_too_much_or_ambiguous_is_refused_in_time(name: str) -> None:
    data, stays = REFUSED[name]
    async with Simulator(CONFIG) as simulator:
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            began = time.monotonic()
            answer = asyncio.create_task(wire.line())
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(data), MIB):
                    wire.write(data[at : at + MIB])
                    await wire.writer.drain()
            if "without" in name:
                assert await answer == b"", "half of a message is no life"
            else:
                assert json.loads(await answer)["code"] == "unknown_message_type"
            if not stays:
                with contextlib.suppress(ConnectionError):
                    assert await wire.rest() == b""
            elif "without" not in name:
                assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
            assert time.monotonic() - began < 15
        await left_nothing(simulator)


@pytest.mark.parametrize("digits", ["1" + "0" * 29, "-" + "9" * 30, "0." + "3" * 30, "1e400", "65536"])
async def test_numbers_of_thirty_digits_are_no_ports(digits: str) -> None:
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        assert (await wire.ask(tunnel(port=digits)))["code"] == "invalid_tunnel_info"
        assert (await wire.ask(tunnel(port="3389." + "0" * 30)))["type"] == "tunnel_response"


@pytest.mark.parametrize("first", [0xC1, 0xA1, 0x91, 0xF1, 0xC2, 0x83])
async def test_a_frame_with_bits_that_nobody_agreed_on_ends_the_websocket(first: int) -> None:
    async with Simulator(CONFIG) as simulator, AsyncWebSocket(simulator.address) as wire:
        assert b"permessage" not in await wire.open(b"Sec-WebSocket-Extensions: permessage-deflate")
        wire.write(bytes([first]) + b"\x85" + bytes(4) + b"hello")
        kind, payload = await wire.next()
        assert (kind, payload[:2]) == (0x88, struct.pack(">H", 1002))
        assert await wire.rest() == b""
        await left_nothing(simulator)


async def test_a_websocket_message_of_64_mib_is_refused_by_its_header() -> None:
    async with Simulator(CONFIG) as simulator, AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        wire.write(b"\x81\xff" + struct.pack(">Q", 64 * MIB) + bytes(4) + b"x" * 1000)
        kind, payload = await wire.next()
        assert (kind, payload[:2]) == (0x88, struct.pack(">H", 1009))
        assert await wire.rest() == b""


BEGUN: Final[dict[str, Callable[[Target], object]]] = {
    "nothing": lambda target: target.plain(),
    "half of a TLS record": lambda target: _sent(target, b"\x16\x03\x01\x02\x00\x01"),
    "half of a WebSocket's handshake": lambda target: _sealed(target, b"GET / HTTP/1.1\r\nHost: x\r\n"),
    "a WebSocket's handshake without end": lambda target: _sealed(target, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100),
    "nothing in TLS": lambda target: _sealed(target, b""),
    "half of a message": lambda target: _sealed(target, HELLO[:20]),
    "half of a frame": lambda target: _sealed(target, attacks._UPGRADE + b"\x81\xfe\x10\x00"),
}


def _sent(target: Target, data: bytes) -> object:
    sock = target.plain()
    sock.sendall(data)
    return sock


def _sealed(target: Target, data: bytes) -> object:
    sock = target.tls()
    sock.sendall(data)
    return sock


@pytest.mark.parametrize("name", BEGUN)
async def test_what_is_begun_and_never_ended_is_closed_in_time(name: str) -> None:
    async with Simulator(CONFIG) as simulator:
        kept = await asyncio.to_thread(BEGUN[name], Target(simulator.address))
        await left_nothing(simulator)
        assert kept is not None
        kept.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", range(12))
async def test_a_reset_in_any_state_leaves_nothing_behind(state: int, caplog: pytest.LogCaptureFixture) -> None:
    def broken_off() -> None:
        for number, sock in enumerate(attacks._states(Target(simulator.address))):
            if number == state:
                attacks.reset(sock)
                return
            sock.close()

    async with Simulator(CONFIG) as simulator:
        await asyncio.to_thread(broken_off)
        await left_nothing(simulator)
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_clock_that_is_set_forth_and_back_touches_tokens_alone() -> None:
    ahead = 0.0
    clock = Clock(epoch=lambda: time.time() + ahead)
    async with Simulator(CONFIG, clock=clock) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        for step in (3600.0, -7200.0, 10 * 365 * 86400.0, -(10.0**9), 0.0):
            ahead = step
            assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
            async with AsyncClient(simulator.address) as other:
                assert (await other.ask(HELLO))["type"] == "hello_response"
                met = await other.ask(auth(exp=int(time.time()) + 600))
                assert met.get("code", met["type"]) == ("invalid_token" if step > 600 else "auth_response")
        times = [entry.time for entry in simulator.transcript.entries()]
        assert max(times) - min(times) > 10**9


async def test_a_clock_of_the_machine_that_jumps_ends_who_was_silent_and_nobody_else() -> None:
    ahead = 0.0
    clock = Clock(lambda: time.monotonic() + ahead)
    config = replace(CONFIG, limits=LimitSettings(idle_timeout=300.0))
    async with Simulator(config, clock=clock) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        ahead = 86_400.0
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"


async def test_a_flood_of_small_messages_is_answered_whole_and_in_order() -> None:
    config = replace(CONFIG, limits=LimitSettings(), relay=RelaySettings(buffer_pool=None))
    async with Simulator(config) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        count = 3000
        asked = b"".join(tunnel(f"t{number}") for number in range(count))
        wire.write(asked)
        async with asyncio.timeout(4 * PATIENCE):
            found = [json.loads(await wire.line()) for _ in range(count)]
        assert [answer["tunnel_id"] for answer in found] == [f"t{number}" for number in range(count)]


async def test_others_have_their_turn_while_one_sends_much() -> None:
    config = replace(CONFIG, limits=LimitSettings())
    async with (
        Simulator(config) as simulator,
        AsyncClient(simulator.address) as flooding,
        AsyncClient(simulator.address) as other,
    ):
        await flooding.greet()
        await other.greet()
        (flooded,) = (session for session in simulator.relay.state.connections if session.number == 1)
        flooding.write(attacks.TINY)
        asked = 0
        while flooded.sent["error"] < 4000:
            assert (await other.ask(BEAT))["type"] == "heartbeat_response"
            asked += 1
        assert asked > 20
