"""The HTTP API over a real server: its operations, its access control and its event streams."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from cbspec_simulator import Config, ConfigError, Simulator, load_config
from cbspec_simulator.control.api import make_api
from cbspec_simulator.control.controls import ControlError
from cbspec_simulator.control.guard import HEADERS
from cbspec_simulator.control.server import ControlServer
from cbspec_simulator.control.streams import BACKLOG, Streams
from cbspec_simulator.settings.config import ControlSettings, Listen
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, until
from tests.support.issuer import jwks, pair
from tests.support.messages import line

FAULT: Final = {"name": "x", "kind": "drop", "when": {"message": "heartbeat_response"}}
GREETING: Final = 7
"""The transcript entries of a connection that has authenticated."""


def controlled(**settings: Any) -> Simulator:  # noqa: ANN401 - those of ControlSettings
    """Return a simulator with controls on a free port."""
    return Simulator(Config(listen=Listen(port=0), control=ControlSettings(**{"port": 0, **settings})))


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with controlled() as simulator:
        yield simulator


async def call(
    simulator: Simulator, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Send a request from a thread; return status, body (decoded if it is JSON) and headers."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}

    def send() -> tuple[int, Any, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(str(simulator.control_url).removeprefix("http://"), timeout=PATIENCE)
        try:
            connection.request(method, path, data, kind | {name.replace("_", "-"): headers[name] for name in headers})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json and text else text or None, answer.msg

    return await asyncio.to_thread(send)


async def ask(simulator: Simulator, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send a request; return status and body."""
    return (await call(simulator, method, path, body, **headers))[:2]


@asynccontextmanager
async def followed(url: str | None, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """Open a stream of events that has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(str(url).rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b": listening")
        yield reader
    writer.close()


async def test_operations(simulator: Simulator) -> None:
    status, fault = await ask(simulator, "POST", "/faults", FAULT)
    assert (status, fault["name"], fault["strikes"]) == (201, "x", 0)
    assert await ask(simulator, "GET", "/faults") == (200, [fault])
    assert fault["never_struck"]
    assert await ask(simulator, "GET", "/never-struck") == (200, {"faults": [fault], "timeline": []})
    for method, path in (("GET", "/faults/x"), ("POST", "/faults/x/release"), ("DELETE", "/faults/x")):
        assert await ask(simulator, method, path) == (200, fault)
    assert (await ask(simulator, "GET", "/health"))[1]["tasks"] >= 1
    for method, expected in (("POST", "draining"), ("DELETE", "serving")):
        assert await ask(simulator, method, "/drain") == (204, None)
        assert (await ask(simulator, "GET", "/health"))[1]["status"] == expected
    assert (await ask(simulator, "PATCH", "/limits", {"buffer_pool": 2}))[1]["buffer_pool"] == 2
    assert (await ask(simulator, "PATCH", "/tenants/tenant-001", {"tunnel_limit": 2}))[1]["tunnel_limit"] == 2
    for method, body in (("POST", {"seconds": 5}), ("GET", None)):
        assert (await ask(simulator, method, "/time", body))[1]["ahead"] == 5
    assert await ask(simulator, "POST", "/reset") == (204, None)
    tenants = {tenant["id"]: tenant for tenant in (await ask(simulator, "GET", "/tenants"))[1]}
    assert tenants["tenant-001"]["tunnel_limit"] is None


async def test_tokens(simulator: Simulator) -> None:
    async def answer(**request: Any) -> Any:  # noqa: ANN401 - the body of a request, and the answer to an auth
        status, minted = await ask(simulator, "POST", "/tokens", request)
        assert status == 201
        async with AsyncClient(simulator.address) as client:
            await client.ask(HELLO)
            return await client.ask(line({"type": "auth", **{key: minted[key] for key in {"token"} & set(minted)}}))

    simulator.clock.advance(10 * 86_400)
    assert (await answer(tenant="tenant-002", subject="me", lifetime=5))["client_id"] == "me"
    assert (await answer())["tenant_id"] == "tenant-001"
    for bad in ("expired-11-minutes", "early-11-minutes", "another-key", "missing", "type-object-of-token"):
        assert (await answer(bad=bad))["code"] == "invalid_token", bad
    assert (await answer(bad="tenant-new"))["code"] == "tenant_not_found"


async def test_a_relay_without_a_signing_key_mints_no_token(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(jwks(pair()))
    config = load_config({"listen": {"port": 0}, "tokens": {"jwks_file": str(tmp_path / "jwks.json")}})
    async with Simulator(config) as simulator:
        with pytest.raises(ControlError, match=r"no token can be minted: \[tokens\] signing_key_file: is needed"):
            simulator.controls.mint({})


async def test_connections_and_transcript(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as client:
        await client.greet()
        (connection,) = (await ask(simulator, "GET", "/connections"))[1]
        assert connection["tenant"] == "tenant-001"
        entries = (await ask(simulator, "GET", "/transcript"))[1]
        assert entries[-1]["type"] == "auth_response"
        assert (await ask(simulator, "GET", f"/transcript?since={len(entries) - 1}"))[1] == entries[-1:]
        assert "-> " in (await ask(simulator, "GET", "/transcript.txt"))[1]
        assert await ask(simulator, "DELETE", "/connections/1?how=close") == (204, None)
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/faults", {"kind": "drop", "\ud800": 1}, 422, '"\\ud800": unknown key'),
        ("POST", "/faults", b"{", 422, "body: must be JSON: "),
        ("POST", "/time", {"hours": 1}, 422, 'the body must be {"seconds": ...}'),
        ("POST", "/tokens", {"tenant": "x"}, 422, "tenant: there is no tenant x; GET /tenants lists them"),
        ("POST", "/tokens", {"tenants": "x"}, 422, "tenants: unknown key; did you mean tenant?"),
        ("POST", "/tokens", {"lifetime": 0}, 422, "lifetime: must be a number of seconds, more than 0"),
        ("POST", "/tokens", {"bad": "expired-10-minutes"}, 422, "bad: no such kind; did you mean expired-11-minutes"),
        ("DELETE", "/connections/9", None, 404, "there is no open connection 9"),
        ("GET", "/transcript?since=-1", None, 422, "query.since: "),
        ("GET", "/nothing", None, 404, "GET /nothing: not found; /openapi.json lists all operations"),
        ("PUT", "/faults", {}, 405, "PUT /faults: method not allowed"),
    ],
)
async def test_mistakes_are_named(
    simulator: Simulator, method: str, path: str, body: object, status: int, text: str
) -> None:
    found, answer = await ask(simulator, method, path, body)
    assert found == status
    assert answer["error"].startswith(text)


async def test_the_description_has_every_operation_and_its_examples_work(simulator: Simulator) -> None:
    status, described = await ask(simulator, "GET", "/openapi.json")
    assert status == 200
    body = described["paths"]["/faults"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["schema"]["oneOf"]) > 30
    examples = {path: described["paths"][path]["post"]["requestBody"] for path in ("/faults", "/tokens")}
    for path, request in examples.items():
        for example in request["content"]["application/json"]["examples"].values():
            assert (await ask(simulator, "POST", path, example["value"]))[0] == 201
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    routes: Any = make_api(simulator.controls, Streams(simulator.controls)).routes
    assert {route.path for route in routes if route.include_in_schema} == set(described["paths"])


async def test_browsers_cannot_be_abused(simulator: Simulator) -> None:
    for path in ("/", "/health", "/nothing", "/page/page.js"):
        _, _, headers = await call(simulator, "GET", path)
        assert {name: headers[name] for name in HEADERS} == HEADERS
    status, answer = await ask(simulator, "POST", "/faults", FAULT, Content_Type="text/plain")
    assert (status, answer["error"]) == (415, "the body must be sent as application/json (curl --json '...')")
    await ask(simulator, "POST", "/drain")
    for origin in ("http://elsewhere.example", "http://127.0.0.1", "http://localhost:1", "null"):
        status, answer = await ask(simulator, "POST", "/reset", Origin=origin)
        assert (status, answer["error"]) == (403, f"pages of {origin} are not allowed here")
        assert simulator.controls.state()["status"] == "draining"
    assert (await ask(simulator, "POST", "/reset", Origin=str(simulator.control_url)))[0] == 204
    for host in ("127.0.0.1", "127.0.0.1:8081", "localhost:8081", "[::1]:8081", "[::1]"):
        assert (await ask(simulator, "GET", "/health", Host=host))[0] == 200
    wrong = "elsewhere.example"
    for host in (wrong, f"{wrong}:8081", f"127.0.0.1.{wrong}", f"localhost:8081.{wrong}", ""):
        status, answer = await ask(simulator, "GET", "/health", Host=host)
        assert status == 400
        assert answer["error"].startswith("the Host header must be one of 127.0.0.1, localhost, [::1], not ")


async def test_a_token_is_required_except_for_the_page() -> None:
    async with controlled(token="let-me-in") as simulator:
        for given in ({}, {"Authorization": "Bearer no"}, {"Authorization": "let-me-in2"}):
            status, answer, headers = await call(simulator, "GET", "/health", **given)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "let-me-in" not in str(answer)
        for path in ("/events", "/openapi.json", "/page/../health", "//", "/page/"):
            assert (await ask(simulator, "GET", path))[0] == 401, path
        assert (await ask(simulator, "GET", "/health", Authorization="Bearer let-me-in"))[0] == 200
        assert (await ask(simulator, "GET", "/"))[0] == (await ask(simulator, "GET", "/page/page.js"))[0] == 200


async def test_addresses_that_cannot_be_used(simulator: Simulator) -> None:
    port = int(str(simulator.control_url).rpartition(":")[2])
    for settings, problem in (
        ({"port": port}, rf"\[control\] can't listen on 127.0.0.1:{port}: address already in use"),
        ({"host": "0.0.0.0"}, r"can be reached from other machines: set \[control\] token_env"),  # noqa: S104
    ):
        with pytest.raises(ConfigError, match=problem):
            await controlled(**settings).start()
    async with controlled(host="::1") as other:
        assert str(other.control_url).startswith("http://[::1]:")


async def test_the_server_closes_its_connections_and_installs_no_signal_handlers() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    before = handlers()
    async with controlled() as simulator:
        port = int(str(simulator.control_url).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # sends no request
        await asyncio.sleep(0)
        assert handlers() == before
    assert simulator.control_url is None
    assert await reader.read() == b""
    writer.close()
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


async def test_events_are_streamed_after_those_in_memory(simulator: Simulator) -> None:
    async with followed(simulator.control_url, "/events") as new, AsyncClient(simulator.address) as client:
        await client.greet()
        assert b"id: 1\ndata: {" in await new.readuntil(b'"type": "auth_response"')
        assert (await ask(simulator, "GET", "/health"))[1]["entries"] == GREETING
        async with followed(simulator.control_url, f"/events?since={GREETING - 1}") as both:
            assert (await both.readuntil(b'"type": "auth_response"')).count(b"id: ") == 1
            await client.ask(BEAT)
            assert b'"request", "type": "heartbeat"' in await both.readuntil(b'"type": "heartbeat"')


async def test_slow_clients_miss_the_oldest_events(simulator: Simulator) -> None:
    streams = Streams(simulator.controls)
    stream = streams.events(None)
    assert await anext(stream) == ": listening\n\n"
    async with AsyncClient(simulator.address) as client:
        await client.greet()
        for _ in range(BACKLOG // 2):
            await client.ask(BEAT)
    await until(lambda: not simulator.controls.connections())
    streams.end()
    numbers = [int(event.split()[1]) async for event in stream]
    last = simulator.controls.state()["entries"]
    assert last > BACKLOG
    assert numbers == list(range(last - BACKLOG + 2, last + 1))
    assert [event async for event in streams.events(None)] == [": listening\n\n"]


async def test_streams_end_properly_with_the_server(simulator: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    server = ControlServer(simulator.controls, "127.0.0.1", 0, None)
    async with followed(server.url, "/events") as reader:
        await server.close()
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    assert not [each for each in caplog.records if each.name.startswith("uvicorn") and each.levelname == "ERROR"]
