"""Connections that end at another time, or in another way."""

from __future__ import annotations

import asyncio
import json

import pytest

from cbspec_simulator.variations.variants import closing
from tests.simulator.variations.deviations.probe import Probe, enter, met
from tests.simulator.variations.variants.probe import serving, show
from tests.support.client import HELLO as HELLO_LINE
from tests.support.client import AsyncClient, AsyncWebSocket
from tests.support.memory import BEAT, Body, MemoryClient, MemoryRelay

_BAD_TOKEN: Body = {"type": "auth", "token": "x"}
_NO_TOKEN: Body = {"type": "auth"}
_UNKNOWN = ["unknown_message_type"]
_MALFORMED = b"{'type':'heartbeat'}\n"


def _fate(client: MemoryClient, data: bytes | Body) -> tuple[list[str], bool]:
    return met(client, data), client.closed


def _each(memory: MemoryRelay) -> list[tuple[list[str], bool]]:
    """Say what becomes of connections: bad hello, too early, bad token twice, malformed, unknown."""
    return [
        _fate(memory.client(), {"type": "hello"}),
        _fate(memory.client(), BEAT),
        _fate(memory.greeted(), _BAD_TOKEN),
        _fate(memory.greeted(), _NO_TOKEN),
        _fate(enter(memory), _MALFORMED),
        _fate(enter(memory), {"type": "x"}),
    ]


_CODES = [_UNKNOWN, _UNKNOWN, ["invalid_token"], ["invalid_token"], _UNKNOWN, _UNKNOWN]
_OPEN = [(codes, False) for codes in _CODES]


def _closed(*places: int, silently: bool = False) -> Probe:
    """Expect that connections are closed at these places, and nowhere else."""
    different = [([] if at in places and silently else codes, at in places) for at, codes in enumerate(_CODES)]
    return Probe(_each, _OPEN, different)


PROBES = {
    "close-after-error": _closed(*range(6)),
    "close-after-error-without-close-notify": _closed(*range(6)),
    "reset-after-error": _closed(*range(6)),
    "close-after-refused-auth": _closed(2, 3),
    "close-after-malformed": _closed(4),
    "malformed-closes": _closed(4, silently=True),
    "malformed-resets": _closed(4, silently=True),
    "bad-hello-closes": _closed(0, silently=True),
    "early-message-closes": _closed(1, silently=True),
}
AT_THE_EDGE = {"no-close-notify", "goodbye"}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


async def _end(id_: str) -> str:
    """Say how a connection ends behind an unknown type and malformed input: by a reset, or not."""
    async with serving(id_) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        wire.write(b'{"type":"x"}\n' + _MALFORMED)
        try:
            await wire.rest()
        except ConnectionResetError:
            return "reset"
        return "closed"


@pytest.mark.parametrize(
    ("id_", "end"),
    [
        ("close-after-error", "closed"),
        ("reset-after-error", "reset"),
        ("malformed-closes", "closed"),
        ("malformed-resets", "reset"),
    ],
)
async def test_a_reset(id_: str, end: str) -> None:
    assert await _end(id_) == end


async def _records_at_the_end(*ids: str) -> int:
    """Count the TLS records that come behind the last answer, below TLS: a close_notify is one."""
    seen = bytearray()
    async with serving(*ids) as simulator:
        host, port = simulator.address

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner, outer = await asyncio.open_connection(host, port)

            async def back() -> None:
                while data := await inner.read(65536):
                    seen.extend(data)
                    writer.write(data)
                writer.close()

            task = asyncio.create_task(back())
            while data := await reader.read(65536):
                outer.write(data)
            await task
            outer.close()

        between = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with between, AsyncClient(between.sockets[0].getsockname()[:2]) as wire:
            assert (await wire.ask(HELLO_LINE))["type"] == "hello_response"
            seen.clear()
            wire.write(b'{"type":"x"}\n')
            await wire.rest()
    return _records(bytes(seen))


def _records(data: bytes) -> int:
    number = 0
    while data:
        number, data = number + 1, data[5 + int.from_bytes(data[3:5], "big") :]
    return number


async def test_close_notify() -> None:
    assert await _records_at_the_end("close-after-error") == 2
    assert await _records_at_the_end("close-after-error", "no-close-notify") == 1
    assert await _records_at_the_end("close-after-error-without-close-notify") == 1


async def test_goodbye_when_idle() -> None:
    async with (
        serving("goodbye") as simulator,
        AsyncWebSocket(simulator.address) as websocket,
        AsyncClient(simulator.address) as wire,
    ):
        await websocket.open()
        await wire.ask(HELLO_LINE)
        assert json.loads(await wire.rest())["code"] == "server_unavailable"
        assert json.loads((await websocket.next())[1])["code"] == "server_unavailable"
        assert (await websocket.next())[0] == 0x88


@pytest.mark.parametrize("ids", [(), ("goodbye",)])
async def test_goodbye_at_the_relays_end(ids: tuple[str, ...]) -> None:
    async with serving(*ids) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        await simulator.close()
        assert (b"server_unavailable" in await wire.rest()) is bool(ids)


def test_each_is_shown() -> None:
    assert {variant.id for variant in closing.VARIANTS} == {*PROBES, *AT_THE_EDGE}
