"""The variants as a whole: each has its place, and the exchange of the specification works on it."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from cbspec_simulator import VARIANTS, Config, arranged, varied
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations import variants
from tests.simulator.variations.variants.probe import serving
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, AsyncWebSocket, auth, tunnel

_EXCHANGE = (
    (HELLO, "hello_response"),
    (auth(), "auth_response"),
    (tunnel("tünnel/1"), "tunnel_response"),
    (BEAT, "heartbeat_response"),
)
_HERE = [id_ for id_, variant in VARIANTS.items() if variant.openssl is None]
"""The variants that a process can bring about without beginning anew."""


async def _objects(wire: AsyncClient, number: int) -> list[dict[str, object]]:
    """Read so many objects, whatever lies between them."""
    decoder, data = json.JSONDecoder(), b""
    found: list[dict[str, object]] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < number:
            data += await wire.reader.read(65536)
            text = data.decode().lstrip() if data.endswith((b"}", b"\n", b" ")) else ""
            while text:
                try:
                    value, end = decoder.raw_decode(text)
                except ValueError:
                    break
                found.append(value)
                text = text[end:].lstrip()
                data = text.encode()
    return found


async def _message(wire: AsyncWebSocket) -> dict[str, object]:
    """Read one text message, whatever frames it comes in."""
    text, first = b"", 0
    async with asyncio.timeout(PATIENCE):
        while not (first & 0x80 and first & 0x08 == 0):
            first, size = await wire.reader.readexactly(2)
            extended = {126: 2, 127: 8}.get(size, 0)
            length = int.from_bytes(await wire.reader.readexactly(extended), "big") if extended else size
            payload = await wire.reader.readexactly(length)
            text += b"" if first & 0x08 else payload
    found: dict[str, object] = json.loads(text)
    return found


@pytest.mark.parametrize("id_", [id_ for id_ in _HERE if VARIANTS[id_].transport != "websocket"])
async def test_the_exchange_over_tcp(id_: str) -> None:
    async with serving(id_) as simulator, AsyncClient(simulator.address) as wire:
        for request, kind in _EXCHANGE:
            wire.write(request)
            (answer,) = await _objects(wire, 1)
            assert answer["type"] == kind
            if kind == "tunnel_response":
                assert answer["tunnel_id"] == "tünnel/1"
        wire.write(BEAT * 3)
        assert [answer["type"] for answer in await _objects(wire, 3)] == ["heartbeat_response"] * 3


@pytest.mark.parametrize("id_", [id_ for id_ in _HERE if VARIANTS[id_].transport != "tcp"])
async def test_the_exchange_over_websocket(id_: str) -> None:
    async with serving(id_) as simulator, AsyncWebSocket(simulator.address) as wire:
        assert (await wire.open()).startswith(b"HTTP/1.1 101 ")
        for request, kind in _EXCHANGE:
            wire.frame(request.strip())
            assert (await _message(wire))["type"] == kind


def test_each_says_a_sentence() -> None:
    for id_, variant in VARIANTS.items():
        assert variant.id == id_
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id_)
        assert variant.sentence.endswith(".")


def test_no_id_is_there_twice() -> None:
    assert sum(len(module.VARIANTS) for module in variants._MODULES) == len(VARIANTS)


def test_several_can_be_laid_over_each_other() -> None:
    assert varied(Behaviour(), "slow", "crlf") != Behaviour()
    assert arranged(Config(), "ipv6", "small-messages").listen.host == "::1"
    with pytest.raises(KeyError):
        varied(Behaviour(), "no-such-variant")
    with pytest.raises(KeyError):
        arranged(Config(), "no-such-variant")
