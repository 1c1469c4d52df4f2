"""Each variant is different, and still right: the exchange of the specification works on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from cbspec.target import Tenant
from simulator import VARIANTS, Behaviour, Config, Simulator, varied
from simulator.config import Listen
from tests.simulator.client import BEAT, HELLO, PATIENCE, WebSocket, Wire, auth, tunnel
from tests.simulator.memory import Client, Memory
from tests.simulator.memory import auth as memory_auth
from tests.simulator.memory import tunnel as memory_tunnel

CONFIG = Config(listen=Listen(port=0))
_EXCHANGE = (
    (HELLO, "hello_response"),
    (auth(), "auth_response"),
    (tunnel("tünnel"), "tunnel_response"),
    (BEAT, "heartbeat_response"),
)


async def _objects(wire: Wire, number: int) -> list[dict[str, object]]:
    """Read so many objects, whatever lies between them."""
    decoder, text = json.JSONDecoder(), ""
    found: list[dict[str, object]] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < number:
            text += (await wire.reader.read(65536)).decode()
            while text.strip():
                try:
                    value, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    break
                found.append(value)
                text = text.lstrip()[end:]
    return found


@pytest.mark.parametrize("id_", [id_ for id_ in VARIANTS if id_ != "websocket-only"])
async def test_the_exchange_over_tcp(id_: str) -> None:
    async with Simulator(CONFIG, behaviour=varied(Behaviour(), id_)) as simulator, Wire(simulator.address) as wire:
        for request, kind in _EXCHANGE:
            wire.write(request)
            (answer,) = await _objects(wire, 1)
            assert answer["type"] == kind
            if kind == "tunnel_response":
                assert answer["tunnel_id"] == "tünnel"
        wire.write(BEAT * 3)
        assert [answer["type"] for answer in await _objects(wire, 3)] == ["heartbeat_response"] * 3


@pytest.mark.parametrize("id_", [id_ for id_ in VARIANTS if id_ != "tcp-only"])
async def test_the_exchange_over_websocket(id_: str) -> None:
    async with Simulator(CONFIG, behaviour=varied(Behaviour(), id_)) as simulator, WebSocket(simulator.address) as wire:
        assert (await wire.open()).startswith(b"HTTP/1.1 101 ")
        for request, kind in _EXCHANGE:
            wire.frame(request.strip())
            async with asyncio.timeout(PATIENCE):
                first, size = await wire.reader.readexactly(2)
                assert first == 0x81
                length = int.from_bytes(await wire.reader.readexactly(2), "big") if size == 126 else size
                answer = json.loads(await wire.reader.readexactly(length))
            assert answer["type"] == kind


async def test_one_transport_only() -> None:
    one, other = (Simulator(CONFIG, behaviour=varied(Behaviour(), id_)) for id_ in ("websocket-only", "tcp-only"))
    async with one, Wire(one.address) as wire:
        wire.write(HELLO)
        assert b"hello_response" not in await wire.rest()
    async with other, Wire(other.address) as wire:
        wire.write(b"GET / HTTP/1.1\r\n")
        assert b"unknown_message_type" in await wire.line()


def _raw(data: bytes = HELLO) -> Callable[[Memory], bytes]:
    def look(memory: Memory) -> bytes:
        client = memory.client()
        client.send(data)
        return client.raw

    return look


def _refused(memory: Memory) -> tuple[str, bool]:
    client = memory.client()
    return client.type(b'{"type":"x"}\n'), client.closed


def _of_tenant(tenant: str) -> Callable[[Memory], str]:
    return lambda memory: memory.greeted().type(memory_auth(tenant))


def _tunnel(tenant: str) -> Callable[[Memory], str]:
    return lambda memory: memory.authenticated().type(memory_tunnel("t", tenant))


def _full(memory: Memory) -> str:
    client: Client = memory.authenticated("small")
    client.send(memory_tunnel("t", "small"))
    return client.type(memory_tunnel("u", "small", remote_port=0))


def _late(memory: Memory) -> str:
    client = memory.greeted()
    memory.time = 300.0
    return client.type(memory_auth())


_PLAIN = (
    b'{"type":"hello_response","version":"1.0","features":["tls","heartbeat","tunnel_info","multi_tenancy","metrics"]}'
)

SHOWN: dict[str, tuple[Callable[[Memory], object], object, object]] = {
    "member-order": (lambda memory: list(memory.client().send(HELLO)[0])[-1], "features", "type"),
    "indented": (lambda memory: _raw()(memory)[:5], b'{"typ', b"{\r\n  "),
    "escapes": (lambda memory: _raw()(memory)[:11], b'{"type":"he', b'{ "\\u0074\\u'),
    "extra-members": (lambda memory: memory.client().send(HELLO)[0].get("at"), None, 1),
    "crlf": (_raw(), _PLAIN + b"\n", _PLAIN + b"\r\n"),
    "close-after-error": (_refused, ("unknown_message_type", False), ("unknown_message_type", True)),
    "fewer-features": (lambda memory: len(memory.client().send(HELLO)[0]["features"]), 5, 3),
    "more-features": (lambda memory: len(memory.client().send(HELLO)[0]["features"]), 5, 6),
    "leeway": (_late, "invalid_token", "auth_response"),
    "tenant-error-as-invalid-token": (_of_tenant("nobody"), "tenant_not_found", "invalid_token"),
    "foreign-tenant-as-invalid-tunnel-info": (_tunnel("b"), "tenant_not_found", "invalid_tunnel_info"),
    "limits-before-validation": (_full, "invalid_tunnel_info", "tenant_limit_exceeded"),
    "terse-errors": (lambda memory: memory.client().ask(b"{}\n")["message"] == "refused", False, True),
}


@pytest.mark.parametrize("id_", SHOWN)
def test_the_variant_shows(id_: str) -> None:
    look, clean, different = SHOWN[id_]
    tenants = (Tenant("a"), Tenant("b"), Tenant("small", tunnel_limit=1))
    assert look(Memory(*tenants)) == clean
    assert look(Memory(*tenants, change=VARIANTS[id_].change)) == different


def test_each_says_a_sentence() -> None:
    for id_, variant in VARIANTS.items():
        assert variant.id == id_
        assert variant.sentence.endswith(".")
