"""The HTTP API, by plain HTTP against a real server, and its description."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.control.api import make_api
from cbspec_simulator.control.streams import Streams
from cbspec_simulator.settings.config import ControlSettings, Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient

CONTROLLED = Config(listen=Listen(port=0), control=ControlSettings(port=0))
FAULT = {"name": "x", "kind": "drop", "when": {"message": "heartbeat_response"}}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(CONTROLLED) as simulator:
        yield simulator


def _call(
    simulator: Simulator, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    assert simulator.control_url
    connection = http.client.HTTPConnection(simulator.control_url.removeprefix("http://"), timeout=PATIENCE)
    try:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(
            method, path, data, {**said, **{name.replace("_", "-"): value for name, value in headers.items()}}
        )
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text) if text else None, answer.msg
    except ValueError:
        return answer.status, text.decode(), answer.msg


async def ask(simulator: Simulator, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Call from a thread: the server runs in this one."""
    status, said, _ = await call(simulator, method, path, body, **headers)
    return status, said


async def call(
    simulator: Simulator, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Call, and return the answer's headers as well."""
    return await asyncio.to_thread(_call, simulator, method, path, body, **headers)


async def test_a_fault_comes_and_goes(simulator: Simulator) -> None:
    assert await ask(simulator, "GET", "/faults") == (200, [])
    status, fault = await ask(simulator, "POST", "/faults", FAULT)
    assert (status, fault["name"], fault["strikes"]) == (201, "x", 0)
    assert await ask(simulator, "GET", "/faults") == (200, [fault])
    assert await ask(simulator, "GET", "/faults/x") == (200, fault)
    assert await ask(simulator, "POST", "/faults/x/release") == (200, fault)
    assert await ask(simulator, "DELETE", "/faults/x") == (200, fault)
    assert (await ask(simulator, "DELETE", "/faults/x"))[0] == 404


async def test_the_relay_is_controlled(simulator: Simulator) -> None:
    assert (await ask(simulator, "GET", "/health"))[1]["tasks"] >= 1
    assert await ask(simulator, "POST", "/drain") == (204, None)
    assert (await ask(simulator, "GET", "/health"))[1]["status"] == "draining"
    assert await ask(simulator, "DELETE", "/drain") == (204, None)
    assert (await ask(simulator, "PATCH", "/limits", {"buffer_pool": 2}))[1]["buffer_pool"] == 2
    assert (await ask(simulator, "PATCH", "/tenants/tenant-001", {"tunnel_limit": 2}))[1]["tunnel_limit"] == 2
    assert (await ask(simulator, "POST", "/time", {"seconds": 5}))[1]["ahead"] == 5
    assert (await ask(simulator, "GET", "/time"))[1]["ahead"] == 5
    assert await ask(simulator, "POST", "/reset") == (204, None)
    (tenant,) = [each for each in (await ask(simulator, "GET", "/tenants"))[1] if each["id"] == "tenant-001"]
    assert tenant["tunnel_limit"] is None


async def test_connections_and_transcript(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        await wire.ask(BEAT)
        (connection,) = (await ask(simulator, "GET", "/connections"))[1]
        assert connection["tenant"] == "tenant-001"
        entries = (await ask(simulator, "GET", "/transcript"))[1]
        assert entries[-1]["type"] == "heartbeat_response"
        assert (await ask(simulator, "GET", f"/transcript?since={len(entries) - 1}"))[1] == entries[-1:]
        assert "-> " in (await ask(simulator, "GET", "/transcript.txt"))[1]
        assert await ask(simulator, "DELETE", "/connections/1?how=close") == (204, None)
        assert await wire.rest() == b""


async def test_what_is_said_is_sent_as_it_is_said(simulator: Simulator) -> None:
    assert simulator.control_url
    host, _, port = simulator.control_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b": listening")
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
        data = await reader.readuntil(b'"type": "auth_response"')
    assert b"id: 1\ndata: {" in data
    writer.close()


async def test_what_is_remembered_comes_first(simulator: Simulator) -> None:
    assert simulator.control_url
    host, _, port = simulator.control_url.removeprefix("http://").partition(":")
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()
        last = (await ask(simulator, "GET", "/health"))[1]["entries"]
        assert last == len(simulator.controls.transcript())
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /events?since={last - 1} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b": listening")
            remembered = await reader.readuntil(b'"type": "auth_response"')
            await wire.ask(BEAT)
            assert b'"request", "type": "heartbeat"' in await reader.readuntil(b'"type": "heartbeat"')
    assert remembered.count(b"id: ") == 1
    writer.close()


async def test_another_relay_is_another_one(simulator: Simulator) -> None:
    async with Simulator(CONTROLLED) as other:
        assert simulator.controls.state()["started"] < other.controls.state()["started"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/faults", {"kind": "eror"}, 422, "kind: there is no kind 'eror'; did you mean error?"),
        ("POST", "/faults", [1], 422, "body: "),
        ("POST", "/faults", b"{", 422, "body."),
        ("POST", "/faults", None, 422, "body: Field required"),
        ("POST", "/time", {"hours": 1}, 422, 'the body must be {"seconds": ...}'),
        ("PATCH", "/tenants/nobody", {}, 404, "there is no tenant nobody"),
        ("DELETE", "/connections/9", None, 404, "there is no open connection 9"),
        ("DELETE", "/connections/x", None, 422, "path.number: "),
        ("DELETE", "/connections/9?how=x", None, 422, "how: must be one of"),
        ("GET", "/transcript?since=-1", None, 422, "query.since: "),
        ("GET", "/nothing", None, 404, "GET /nothing: not found; /openapi.json lists what there is"),
        ("PUT", "/faults", {}, 405, "PUT /faults: method not allowed"),
    ],
)
async def test_mistakes_are_named(
    simulator: Simulator, method: str, path: str, body: object, status: int, text: str
) -> None:
    found, said = await ask(simulator, method, path, body)
    assert found == status
    assert said["error"].startswith(text)


async def test_a_web_page_cant_come_in(simulator: Simulator) -> None:
    status, said = await ask(simulator, "POST", "/faults", FAULT, Content_Type="text/plain")
    assert (status, said["error"]) == (415, "the body must be sent as application/json (curl --json '...')")
    assert (await ask(simulator, "GET", "/health", Host="rebound.example"))[0] == 400
    assert (await ask(simulator, "GET", "/health", Host="localhost:1234"))[0] == 200


async def test_a_token_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(listen=Listen(port=0), control=ControlSettings(port=0, token="let-me-in"))
    async with Simulator(config) as simulator:
        for given in ({}, {"Authorization": "Bearer no"}, {"Authorization": "let-me-in2"}):
            status, said, headers = await call(simulator, "GET", "/health", **given)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "let-me-in" not in str(said)
        assert (await ask(simulator, "GET", "/health", Authorization="Bearer let-me-in"))[0] == 200


async def test_off_loopback_there_must_be_a_token() -> None:
    config = Config(listen=Listen(port=0), control=ControlSettings(host="0.0.0.0", port=0))  # noqa: S104 - refused
    with pytest.raises(ConfigError, match="can be reached by others: name in \\[control\\] token_env"):
        async with Simulator(config):
            pass


async def test_a_port_in_use_is_named(simulator: Simulator) -> None:
    assert simulator.control_url
    port = int(simulator.control_url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"\[control\] can't listen on 127.0.0.1:{port}: address already in use"):
        async with Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=port))):
            pass


async def test_the_description_names_every_path_and_its_example_works(simulator: Simulator) -> None:
    status, described = await ask(simulator, "GET", "/openapi.json")
    assert status == 200
    body = described["paths"]["/faults"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["schema"]["oneOf"]) > 30
    for example in body["examples"].values():
        assert (await ask(simulator, "POST", "/faults", example["value"]))[0] == 201
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    routes: Any = make_api(simulator.controls, Streams(simulator.controls)).routes
    assert {route.path for route in routes if route.include_in_schema} == set(described["paths"])
