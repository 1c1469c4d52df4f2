"""Everything that can be done to a relay while it runs, and what can't be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.faults.kind import ENDS
from cbspec_simulator.relay.session import connect
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, HELLO, AsyncClient, AsyncWebSocket, auth, tunnel, until


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Config(listen=Listen(port=0))) as simulator:
        yield simulator


async def test_the_third_tunnel_of_a_tenant_is_refused(simulator: Simulator) -> None:
    controls = simulator.controls
    when = {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3}
    controls.add_fault({"kind": "error", "code": "buffer_pool_exhausted", "when": when})
    async with AsyncClient(simulator.address) as other, AsyncClient(simulator.address) as wire:
        await other.greet("tenant-002")
        await wire.greet()
        assert (await other.ask(tunnel("o", "tenant-002")))["type"] == "tunnel_response"
        answers = [await wire.ask(tunnel(str(number))) for number in range(4)]
    assert [answer.get("code") for answer in answers] == [None, None, "buffer_pool_exhausted", None]
    assert simulator.relay.connected == 2
    (fault,) = controls.faults()
    assert (fault["name"], fault["matched"], fault["strikes"]) == ("fault-1", 4, 1)
    assert controls.remove_fault("fault-1") == fault
    assert controls.faults() == []


async def test_what_is_held_is_let_go(simulator: Simulator) -> None:
    controls = simulator.controls
    controls.add_fault({"kind": "hold", "name": "stop", "when": {"message": "heartbeat_response"}})
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write(BEAT)
        assert (await wire.ask(tunnel()))["type"] == "tunnel_response"
        controls.release("stop")
        assert await wire.line() == b'{"type":"heartbeat_response"}\n'
        wire.write(BEAT)
        await until(lambda: controls.fault("stop")["strikes"] == 2)
        controls.remove_fault("stop")
        assert await wire.line() == b'{"type":"heartbeat_response"}\n'


async def test_draining(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        simulator.controls.drain()
        assert simulator.controls.state()["status"] == "draining"
        assert (await wire.ask(tunnel()))["code"] == "server_unavailable"
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
        simulator.controls.drain(draining=False)
        assert (await wire.ask(tunnel()))["type"] == "tunnel_response"


async def test_limits_of_the_relay(simulator: Simulator) -> None:
    assert simulator.controls.limit({"buffer_pool": 1, "connection_limit": 1}) == {
        "connection_limit": 1,
        "buffer_pool": 1,
    }
    async with AsyncClient(simulator.address) as wire, AsyncClient(simulator.address) as second:
        await wire.greet()
        assert (await second.ask(HELLO))["code"] == "connection_limit_reached"
        assert (await wire.ask(tunnel("1")))["type"] == "tunnel_response"
        assert (await wire.ask(tunnel("2")))["code"] == "buffer_pool_exhausted"
        simulator.controls.limit({"buffer_pool": None})
        assert (await wire.ask(tunnel("2")))["type"] == "tunnel_response"


async def test_limits_of_a_tenant_count_for_what_is_open(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        assert simulator.controls.limit_tenant("tenant-001", {"tunnel_limit": 1})["tunnel_limit"] == 1
        assert (await wire.ask(tunnel("1")))["type"] == "tunnel_response"
        assert (await wire.ask(tunnel("2")))["code"] == "tenant_limit_exceeded"
        simulator.controls.limit_tenant("tenant-001", {"tunnel_limit": None, "rate": {"per_second": 1, "burst": 1}})
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
        assert (await wire.ask(BEAT))["code"] == "rate_limit_exceeded"
        simulator.controls.reset()
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"


async def test_a_tenant_is_turned_off(simulator: Simulator) -> None:
    simulator.controls.limit_tenant("tenant-001", {"active": False})
    async with AsyncClient(simulator.address) as wire:
        await wire.ask(HELLO)
        assert (await wire.ask(auth()))["code"] == "tenant_not_found"


async def test_what_is_open_is_listed(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        await wire.ask(tunnel("b"))
        await wire.ask(tunnel("a"))
        (connection,) = simulator.controls.connections()
        assert connection == {
            "number": 1,
            "transport": "tcp",
            "address": "127.0.0.1",
            "state": connection["state"],
            "tenant": "tenant-001",
            "subject": "user123",
            "tunnels": ["a", "b"],
        }
        (tenant,) = [each for each in simulator.controls.tenants() if each["id"] == "tenant-001"]
        assert (tenant["tunnels"], tenant["connections"]) == (2, 1)
        assert simulator.controls.state()["buffers"] == 2


async def test_a_token_in_a_wrong_place_is_not_shown(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        token = json.loads(auth())["token"]
        assert (await wire.ask(tunnel(token)))["tunnel_id"] == token
        assert simulator.controls.connections()[0]["tunnels"] == ["<token>"]


@pytest.mark.parametrize("how", ENDS)
async def test_one_connection_is_dropped(simulator: Simulator, how: str) -> None:
    async with AsyncClient(simulator.address) as wire, AsyncClient(simulator.address) as other:
        await wire.greet()
        await other.greet()
        simulator.controls.drop(1, how)
        try:
            assert await wire.rest() == b""
        except OSError:
            assert how in ("reset", "close-without-notify")
        assert (await other.ask(BEAT))["type"] == "heartbeat_response"


async def test_a_websocket_that_is_closed_is_told_so(simulator: Simulator) -> None:
    async with AsyncWebSocket(simulator.address) as wire:
        await wire.open()
        assert await wire.say(HELLO)
        simulator.controls.drop(1, "close")
        assert await wire.next() == (0x88, b"\x03\xe8")
        assert await wire.rest() == b""


async def test_time_is_moved(simulator: Simulator) -> None:
    before = simulator.controls.time()["now"]
    after = simulator.controls.advance(3600)
    assert after["ahead"] == 3600
    assert 3600 <= after["now"] - before < 3700


Do = Callable[[Controls], Any]


@pytest.mark.parametrize(
    ("do", "status", "text"),
    [
        (lambda c: c.add_fault([]), 422, "a fault must be a table with a kind, not an array"),
        (lambda c: c.add_fault({"kind": "eror"}), 422, "kind: there is no kind 'eror'; did you mean error?"),
        (lambda c: c.fault("x"), 404, "there is no fault x; there is none"),
        (lambda c: c.remove_fault("x"), 404, "there is no fault x; there is none"),
        (lambda c: c.release("x"), 404, "there is no fault x; there is none"),
        (lambda c: c.limit({"pool": 1}), 422, "pool: unknown limit; known are connection_limit, buffer_pool"),
        (lambda c: c.limit({"buffer_pool": -1}), 422, "buffer_pool: must be a whole number, 0 or more, or null"),
        (lambda c: c.limit_tenant("x", {}), 404, "there is no tenant x"),
        (lambda c: c.limit_tenant("tenant-001", {"id": "y"}), 422, "id: a tenant keeps its id"),
        (lambda c: c.limit_tenant("tenant-001", {"tunnel_limit": "2"}), 422, "tunnel_limit: must be"),
        (lambda c: c.limit_tenant("tenant-001", {"tunnels": 2}), 422, "tunnels: unknown key"),
        (lambda c: c.limit_tenant("tenant-001", {"active": None}), 422, "active: can't be null"),
        (lambda c: c.advance(-1), 422, "seconds: must be a number of seconds, 0 or more"),
        (lambda c: c.advance(True), 422, "seconds: must be a number"),
        (lambda c: c.advance("1"), 422, "seconds: must be a number"),
        (lambda c: c.drop(7), 404, "there is no open connection 7"),
        (lambda c: c.drop(7, "gently"), 422, "how: must be one of close, reset"),
    ],
)
async def test_mistakes_are_named(simulator: Simulator, do: Do, status: int, text: str) -> None:
    before = simulator.controls.state()["limits"], simulator.controls.tenants()
    with pytest.raises(ControlError) as caught:
        do(simulator.controls)
    assert str(caught.value).startswith(text)
    assert caught.value.status == status
    assert (simulator.controls.state()["limits"], simulator.controls.tenants()) == before


async def test_a_name_is_taken_once(simulator: Simulator) -> None:
    simulator.controls.add_fault({"kind": "drop", "name": "x"})
    with pytest.raises(ControlError, match=r"name: .* a fault x"):
        simulator.controls.add_fault({"kind": "drop", "name": "x"})


async def test_all_are_dropped_though_one_is_gone_from_the_wire_already(simulator: Simulator) -> None:
    connect(simulator.relay, "127.0.0.1")
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        simulator.controls.drop_all("close")
        assert await wire.rest() == b""
