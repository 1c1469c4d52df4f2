"""Each control has its effect on the wire, and wrong arguments change nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.control.controls import ControlError, Controls
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.relay.session import connect
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, HELLO, AsyncClient, auth, tunnel, until


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Config(listen=Listen(port=0))) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(simulator.address) as client:
        await client.greet()
        yield client


async def test_faults_are_added_and_removed(simulator: Simulator, client: AsyncClient) -> None:
    controls = simulator.controls
    when = {"tenant": "tenant-001", "message": "tunnel_info", "nth": 3}
    controls.add_fault({"kind": "error", "code": "buffer_pool_exhausted", "when": when})
    answers = [await client.ask(tunnel(str(number))) for number in range(4)]
    assert [answer.get("code") for answer in answers] == [None, None, "buffer_pool_exhausted", None]
    (fault,) = controls.faults()
    assert (fault["name"], fault["matched"], fault["strikes"]) == ("fault-1", 4, 1)
    with pytest.raises(ControlError, match=r"name: .* a fault fault-1"):
        controls.add_fault({"kind": "drop", "name": "fault-1"})
    assert controls.remove_fault("fault-1") == fault
    assert controls.faults() == []


async def test_faults_without_an_effect_are_refused(simulator: Simulator, client: AsyncClient) -> None:
    controls = simulator.controls
    for when, problem in (
        ({"tenant": "tenant-oo1"}, "when.tenant: there is no tenant tenant-oo1; did you mean tenant-001?"),
        ({"tenant": "x", "answer_to": "hello"}, "when.tenant: there is no tenant x; there are tenant-001, "),
    ):
        with pytest.raises(ControlError, match=re.escape(problem)):
            controls.add_fault({"kind": "drop", "when": when})
    async with AsyncClient(simulator.address) as other:
        await other.greet()
    await until(lambda: simulator.connections == (1,))
    with pytest.raises(ControlError, match=r"when.connection: 2 has ended; the next one is 3"):
        controls.add_fault({"kind": "drop", "when": {"connection": 2}})
    assert controls.faults() == []
    for accepted in ({"connection": 1}, {"connection": 3}, {"tenant": "x", "message": "auth"}):
        controls.add_fault({"kind": "drop", "when": accepted})


async def test_all_connections_are_dropped_those_in_their_handshake_too(
    simulator: Simulator, client: AsyncClient
) -> None:
    reader, writer = await asyncio.open_connection(*simulator.address)
    await until(lambda: simulator.connections == (1, 2))
    simulator.controls.drop_all("close")
    assert (await client.rest(), await reader.read()) == (b"", b"")
    writer.close()


async def test_limits_change_until_a_reset(simulator: Simulator, client: AsyncClient) -> None:
    controls, limits = simulator.controls, {"buffer_pool": 1, "connection_limit": 1}
    assert controls.limit(limits) == limits
    async with AsyncClient(simulator.address) as second:
        assert (await second.ask(HELLO))["code"] == "connection_limit_reached"
    rate = {"per_second": 1, "burst": 1, "scope": "tenant"}
    assert controls.limit_tenant("tenant-001", {"tunnel_limit": None, "rate": rate})["rate"] == rate
    assert (await client.ask(tunnel("1")))["type"] == "tunnel_response"
    assert (await client.ask(BEAT))["code"] == "rate_limit_exceeded"
    controls.reset()
    assert (await client.ask(tunnel("2")))["type"] == "tunnel_response"


async def test_connections_and_usage_are_listed_without_tokens(simulator: Simulator, client: AsyncClient) -> None:
    for name in ("b", "a", json.loads(auth())["token"]):
        assert (await client.ask(tunnel(name)))["tunnel_id"] == name
    (connection,) = simulator.controls.connections()
    assert (connection["subject"], connection["tunnels"]) == ("user123", ["a", "b", "<token>"])
    (tenant,) = [each for each in simulator.controls.tenants() if each["id"] == "tenant-001"]
    assert (tenant["tunnels"], tenant["connections"]) == (3, 1)
    assert simulator.controls.state()["buffers"] == 3


@pytest.mark.parametrize("how", ConnectionEnd)
async def test_one_connection_ends(simulator: Simulator, client: AsyncClient, how: str) -> None:
    async with AsyncClient(simulator.address) as other:
        await other.greet()
        simulator.controls.drop(1, how)
        try:
            assert await client.rest() == b""
        except OSError:
            assert how in ("reset", "close-without-notify")
        assert (await other.ask(BEAT))["type"] == "heartbeat_response"


async def test_all_connections_end_although_one_has_no_socket(simulator: Simulator, client: AsyncClient) -> None:
    connect(simulator.relay, "127.0.0.1")
    simulator.controls.drop_all("close")
    assert await client.rest() == b""


@pytest.mark.parametrize(
    ("call", "status", "text"),
    [
        (lambda c: c.add_fault({"kind": "eror"}), 422, "kind: there is no kind 'eror'; did you mean error?"),
        (lambda c: c.remove_fault("x"), 404, "there is no fault x; there is none"),
        (lambda c: c.limit({"pool": None}), 422, "pool: unknown key; known are connection_limit, buffer_pool"),
        (lambda c: c.limit_tenant("x", {}), 404, "there is no tenant x"),
        (lambda c: c.limit_tenant("tenant-001", {"id": "y"}), 422, "id: can't be changed"),
        (lambda c: c.limit_tenant("tenant-001", {"active": None}), 422, "active: must be true or false, not null"),
        (lambda c: c.advance(-1), 422, "seconds: must be a number of seconds, 0 or more"),
        (lambda c: c.drop(7), 404, "there is no open connection 7"),
        (lambda c: c.drop(7, "gently"), 422, "how: must be one of close, reset"),
    ],
)
async def test_mistakes_are_named(
    simulator: Simulator, call: Callable[[Controls], object], status: int, text: str
) -> None:
    def state() -> tuple[Any, ...]:
        return simulator.controls.state()["limits"], simulator.controls.tenants(), simulator.controls.faults()

    before = state()
    with pytest.raises(ControlError) as caught:
        call(simulator.controls)
    assert str(caught.value).startswith(text)
    assert caught.value.status == status
    assert state() == before
