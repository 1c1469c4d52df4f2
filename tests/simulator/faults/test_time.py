"""Faults that take time or last for a while follow the simulator's clock."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from cbspec_simulator import Clock, Config, Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.support.client import BEAT, HELLO, AsyncClient, AsyncWebSocket, auth, tunnel, until

DAY: Final = 86_400.0


def serving(*faults: dict[str, Any], idle_timeout: float = 10 * DAY) -> Simulator:
    """Return a relay with faults; its clock only moves on request."""
    limits = LimitSettings(idle_timeout=idle_timeout)
    config = Config(listen=Listen(port=0), limits=limits, faults=tuple(map(Fault.read, faults)))
    return Simulator(config, clock=Clock(lambda: 0.0))


async def _serve_others(simulator: Simulator) -> None:
    """Let the relay serve another connection, so that its pending work is done."""
    async with AsyncClient(simulator.address) as other:
        assert (await other.ask(HELLO))["type"] == "hello_response"


async def test_late_messages_come_when_the_clock_is_advanced() -> None:
    for kind, message in (
        ("latency", "heartbeat_response"),
        ("delay", "heartbeat_response"),
        ("delay", "heartbeat"),
        ("reorder", "heartbeat_response"),
        ("merge", "heartbeat_response"),
    ):
        fault = {"kind": kind, "seconds": DAY, "when": {"message": message}}
        async with serving(fault) as simulator, AsyncClient(simulator.address) as wire:
            await wire.greet()
            wire.write(BEAT)
            await until(lambda simulator=simulator: simulator.relay.faults.all()[0].matched == 1)  # type: ignore[misc]
            simulator.clock.advance(DAY - 1)
            line = asyncio.create_task(wire.line())
            await _serve_others(simulator)
            assert not line.done(), fault
            simulator.clock.advance(1)
            assert json.loads(await line)["type"] == "heartbeat_response"


@pytest.mark.parametrize(("kind", "kept"), [("handshake-stall", True), ("silent", True), ("drop", False)])
async def test_an_unresponsive_relay_keeps_the_connection(kind: str, kept: bool) -> None:
    fault = {"kind": kind, **({"when": {"nth": 1}} if kept else {})}
    async with serving(fault, idle_timeout=DAY) as simulator:
        reader, writer = await asyncio.open_connection(*simulator.address)
        await until(lambda: simulator.relay.connected == 1)
        simulator.clock.advance(DAY)
        end = asyncio.create_task(reader.read())
        if kept:
            await _serve_others(simulator)
            assert not end.done()
        else:
            assert await end == b""
        end.cancel()
        writer.transport.abort()


async def test_reading_pauses_while_a_request_is_held() -> None:
    fault = {"kind": "hold", "name": "it", "when": {"message": "heartbeat", "times": 1}}
    async with serving(fault) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write(BEAT)
        asked = await wire.flood(tunnel("x" * 30_000))
        simulator.relay.faults.release("it")
        kinds = [json.loads(await wire.line())["type"] for _ in range(asked + 1)]
        assert kinds == ["heartbeat_response", *["tunnel_response"] * asked]


@pytest.mark.parametrize("transport", [AsyncClient, AsyncWebSocket])
async def test_a_held_answer_that_closes_closes_after_its_release(transport: type[AsyncClient]) -> None:
    faults = [{"kind": kind, "name": kind, "when": {"message": "hello_response"}} for kind in ("hold", "close")]
    async with serving(*faults) as simulator, transport(simulator.address) as wire:
        if isinstance(wire, AsyncWebSocket):
            await wire.open()
            wire.frame(HELLO.strip())
        else:
            wire.write(HELLO)
        end = asyncio.create_task(wire.rest())
        await until(lambda: simulator.relay.faults.all()[0].strikes == 1)
        for _ in range(5):  # whole turns of the relay's loop
            async with AsyncClient(simulator.address):
                pass
        assert not end.done()
        simulator.relay.faults.release("hold")
        assert b'"hello_response"' in await end


async def test_times_count_from_the_moment_at_which_the_relay_is_ready() -> None:
    fault = {"kind": "unavailable", "when": {"end": 5}}
    async with serving(fault) as simulator:
        simulator.clock.advance(4)
        simulator.begin()
        simulator.clock.advance(4)
        async with AsyncClient(simulator.address) as wire:
            assert (await wire.ask(HELLO))["code"] == "server_unavailable"
        simulator.clock.advance(1)
        await _serve_others(simulator)


@pytest.mark.parametrize("transport", [AsyncClient, AsyncWebSocket])
async def test_a_fault_begins_after_an_event(transport: type[AsyncClient]) -> None:
    late = {"kind": "error", "code": "late", "when": {"after": "auth", "begin": 10, "end": 20}}
    after = {"kind": "missing-member", "member": "type", "when": {"after": "auth", "direction": "answer", "end": 5}}
    async with serving(late, after) as simulator:
        simulator.clock.advance(6)
        await _begins(simulator, transport(simulator.address))


async def _begins(simulator: Simulator, client: AsyncClient) -> None:
    async with client as wire:

        async def ask(data: bytes) -> Any:  # noqa: ANN401 - JSON
            if isinstance(wire, AsyncWebSocket):
                return json.loads(await wire.say(data))
            return await wire.ask(data)

        if isinstance(wire, AsyncWebSocket):
            await wire.open()
        assert (await ask(HELLO))["type"] == "hello_response"
        assert (await ask(auth()))["type"] == "auth_response"
        assert "type" not in await ask(BEAT)
        simulator.clock.advance(5)
        assert (await ask(BEAT))["type"] == "heartbeat_response"
        assert (await ask(auth()))["type"] == "error"  # another answer to an auth changes nothing
        simulator.clock.advance(5)
        assert (await ask(BEAT))["code"] == "late"
        simulator.clock.advance(10)
        assert (await ask(BEAT))["type"] == "heartbeat_response"


async def test_the_port_is_closed_after_the_first_connection() -> None:
    async with serving({"kind": "refuse", "when": {"after": "first connection", "begin": 5, "end": 10}}) as simulator:
        simulator.clock.advance(DAY)
        for seconds, accepted in ((0, True), (5, False), (5, True)):
            simulator.clock.advance(seconds)
            if accepted:
                await _serve_others(simulator)
            else:
                with pytest.raises(ConnectionRefusedError):
                    await _serve_others(simulator)
