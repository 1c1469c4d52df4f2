"""Faults that take time or hold for a while, by the simulator's clock: nobody waits for them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, Final

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.edge.peer import Peer
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.support.client import BEAT, HELLO, AsyncClient, AsyncWebSocket, auth, tunnel, until

DAY: Final = 86_400.0
ANY_PORT: Final = Config(listen=Listen(port=0))


def serving(*faults: dict[str, Any], config: Config = ANY_PORT) -> Simulator:
    """Return a relay with some faults, whose time stands still until it is moved."""
    clock = Clock(lambda: 0.0)
    return Simulator(replace(config, faults=tuple(map(Fault.read, faults))), clock=clock)


@pytest.mark.parametrize("fault", [
    {"kind": "latency", "seconds": DAY, "when": {"message": "heartbeat_response"}},
    {"kind": "delay", "seconds": DAY, "when": {"message": "heartbeat_response"}},
    {"kind": "delay", "seconds": DAY, "when": {"message": "heartbeat"}},
    {"kind": "reorder", "seconds": DAY, "when": {"message": "heartbeat_response"}},
    {"kind": "merge", "seconds": DAY, "when": {"message": "heartbeat_response"}},
], ids=lambda fault: str(fault["kind"]))  # fmt: skip
async def test_what_is_late_comes_when_the_clock_says_so(fault: dict[str, Any]) -> None:
    config = replace(ANY_PORT, limits=LimitSettings(idle_timeout=10 * DAY))
    async with serving(fault, config=config) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write(BEAT)
        await until(lambda: _matched(simulator) == 1)
        simulator.clock.advance(DAY - 1)
        line = asyncio.create_task(wire.line())
        await _ask_on_another(simulator)
        assert not line.done()
        simulator.clock.advance(1)
        assert json.loads(await line)["type"] == "heartbeat_response"


async def _ask_on_another(simulator: Simulator) -> None:
    """See that the relay has done what it had to do."""
    async with AsyncClient(simulator.address) as other:
        assert (await other.ask(HELLO))["type"] == "hello_response"


def _matched(simulator: Simulator) -> int:
    (active,) = simulator.relay.faults.all()
    return active.matched


async def test_unavailable_for_a_while() -> None:
    fault = {"kind": "unavailable", "when": {"begin": 10, "end": 20}}
    async with serving(fault) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        met = []
        for name in "abc":
            answer = await wire.ask(tunnel(name))
            met.append(answer.get("code", answer["type"]))
            simulator.clock.advance(10)
        assert met == ["tunnel_response", "server_unavailable", "tunnel_response"]


async def test_heartbeats_unanswered_after_the_second() -> None:
    fault = {"kind": "drop", "when": {"message": "heartbeat", "after": 2, "per": "connection"}}
    async with (
        serving(fault) as simulator,
        AsyncClient(simulator.address) as wire,
        AsyncClient(simulator.address) as other,
    ):
        await wire.greet()
        await other.greet()
        wire.write(BEAT * 5 + tunnel())
        assert [json.loads(await wire.line())["type"] for _ in range(3)] == [
            "heartbeat_response", "heartbeat_response", "tunnel_response"
        ]  # fmt: skip
        assert (await other.ask(BEAT))["type"] == "heartbeat_response"


@pytest.mark.parametrize(("fault", "kept"), [
    ({"kind": "handshake-stall", "when": {"nth": 1}}, True),
    ({"kind": "silent", "when": {"nth": 1}}, True),
    ({"kind": "drop"}, False),
])  # fmt: skip
async def test_a_relay_that_hangs_keeps_the_connection(fault: dict[str, Any], kept: bool) -> None:
    async with serving(fault) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        await until(lambda: simulator.relay.connected == 1)
        simulator.clock.advance(DAY)
        end = asyncio.create_task(reader.read())
        if kept:
            await _ask_on_another(simulator)
            assert not end.done()
        else:
            assert await end == b""
        end.cancel()
        writer.transport.abort()


async def test_a_client_whose_request_is_put_off_is_not_read_for_ever() -> None:
    fault = {"kind": "hold", "name": "it", "when": {"message": "heartbeat", "times": 1}}
    async with serving(fault) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        request = tunnel("x" * 30_000)
        wire.write(BEAT)
        asked = await wire.flood(request)
        simulator.relay.faults.release("it")
        kinds = [json.loads(await wire.line())["type"] for _ in range(asked + 1)]
        assert kinds == ["heartbeat_response", *["tunnel_response"] * asked]


async def test_a_message_held_back_waits_for_ever() -> None:
    fault = {"kind": "hold", "name": "it", "when": {"message": "auth_response"}}
    config = replace(ANY_PORT, limits=LimitSettings(idle_timeout=10 * DAY))
    async with serving(fault, config=config) as simulator, AsyncClient(simulator.address) as wire:
        assert (await wire.ask(HELLO))["type"] == "hello_response"
        assert (await wire.ask(auth() + BEAT))["type"] == "heartbeat_response"
        simulator.clock.advance(5 * DAY)
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
        simulator.relay.faults.release("it")
        assert json.loads(await wire.line())["type"] == "auth_response"


@pytest.mark.parametrize("transport", [AsyncClient, AsyncWebSocket])
async def test_an_answer_held_back_that_ends_the_connection_ends_it_once_it_is_let_go(
    transport: type[AsyncClient],
) -> None:
    faults = [{"kind": kind, "name": kind, "when": {"message": "hello_response"}} for kind in ("hold", "close")]
    async with serving(*faults) as simulator, transport(simulator.address) as wire:
        if isinstance(wire, AsyncWebSocket):
            await wire.open()
            wire.frame(HELLO.strip())
        else:
            wire.write(HELLO)
        end = asyncio.create_task(wire.rest())
        await until(lambda: simulator.relay.faults.all()[0].strikes == 1)
        await _ask_on_another_port(simulator)
        assert not end.done()
        simulator.relay.faults.release("hold")
        assert b'"hello_response"' in await end


async def _ask_on_another_port(simulator: Simulator) -> None:
    """Give what is not to happen the time for it: whole turns of the loop, with the network in between."""
    for _ in range(5):
        async with AsyncClient(simulator.address):
            pass


async def test_a_large_answer_in_small_pieces_leaves_the_others_their_turn() -> None:
    faults = [
        {"kind": "dribble", "bytes": 1, "seconds": 0, "when": {"message": "heartbeat_response"}},
        {"kind": "oversize", "bytes": 4_000_000, "when": {"message": "heartbeat_response"}},
    ]
    async with (
        serving(*faults) as simulator,
        AsyncClient(simulator.address) as wire,
        AsyncClient(simulator.address) as unread,
    ):
        await wire.greet()
        await unread.greet()
        unread.writer.transport.pause_reading()  # type: ignore[attr-defined]
        unread.write(BEAT)
        wire.write(BEAT)
        assert await wire.reader.read(1)
        await _ask_on_another(simulator)
        peers = [peer for peer in simulator.server.edge.peers.values() if isinstance(peer, Peer)]
        sizes = [peer._transport.get_write_buffer_size() for peer in peers]
        assert max(sizes) < 1_000_000
