"""What each kind of hostile input does to others."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Any

import pytest

from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.edge.peer import Peer
from cbspec_simulator.settings.config import LimitSettings, Listen
from tests.simulator.variations.deviations.probe import Look, Probe, enter, met, show
from tests.support.client import BEAT as BEAT_LINE
from tests.support.client import PATIENCE, AsyncClient, until
from tests.support.memory import BEAT, HELLO, MemoryRelay

INPUT = {
    "nul-bytes": b"\0" * 4096 + b"\n",
    "random-bytes": b"\xff\x00\x13" * 100 + b"\n",
    "long-number": b'{"type":"heartbeat","x":' + b"9" * 6000 + b"}\n",
    "many-members": b'{"type":"heartbeat"' + b',"a":1' * 2000 + b"}\n",
    "no-object": b"[]\n",
    "deep-nesting": b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n",
    "many-lines": b"\n" * 2000,
    "half-message": b'{"type":"tunn',
}
_hi, _beat = ["hello_response"], ["heartbeat_response"]


def _new_behind(data: bytes) -> Look:
    """Say what a new connection's hello meets behind hostile input on another."""

    def look(memory: MemoryRelay) -> list[str]:
        enter(memory).send(data)
        return met(memory.client(), HELLO)

    return look


def _fails(data: bytes) -> Look:
    """Say by what the relay's code fails, if it does."""

    def look(memory: MemoryRelay) -> str:
        client = enter(memory)
        try:
            client.send(data)
        except (RuntimeError, SystemExit) as error:
            return type(error).__name__
        return ""

    return look


def _beside(data: bytes) -> Look:
    def look(memory: MemoryRelay) -> list[str]:
        one, other = enter(memory), enter(memory)
        one.send(data)
        return met(other, BEAT)

    return look


def _answered(data: bytes) -> Look:
    def look(memory: MemoryRelay) -> bool:
        client = enter(memory)
        return bool(client.send(data)) or client.closed

    return look


PROBES: dict[str, Probe] = {
    **{
        f"{kind}-ends-service": Probe(_new_behind(INPUT[kind]), _hi, [])
        for kind in ("nul-bytes", "random-bytes", "long-number", "many-members", "no-object")
    },
    **{
        f"{kind}-closes-all": Probe(_fails(INPUT[kind]), "", "Downfall")
        for kind in ("nul-bytes", "long-number", "many-members")
    },
    **{
        f"{kind}-ends-process": Probe(_fails(INPUT[kind]), "", "SystemExit")
        for kind in ("deep-nesting", "long-number", "random-bytes")
    },
    **{f"{kind}-unanswered": Probe(_answered(INPUT[kind]), True, False) for kind in ("deep-nesting", "nul-bytes")},
    "many-lines-end-service": Probe(_new_behind(INPUT["many-lines"]), _hi, []),
    "half-message-blocks-all": Probe(_beside(INPUT["half-message"]), _beat, []),
    "huge-message-unanswered": Probe(_answered(b'{"type":"' + b"x" * (LimitSettings().max_message + 10)), True, False),
}
BESIDE = {
    "silent-connection-blocks-new-ones": (b"", True, False),
    "half-handshake-blocks-new-ones": (b"\x16\x03\x01", True, False),
    "silent-connection-blocks-open-ones": (b"", False, True),
    "half-handshake-blocks-open-ones": (b"\x16\x03\x01", False, True),
}
"""Handshakes that get no further: what was sent, whether a new connection waits for them, and whether an open one."""

ON_A_SOCKET = ("broken-record-ends-service", *BESIDE)


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


@pytest.mark.parametrize(("ids", "served"), [((), True), (ON_A_SOCKET[:1], False)])
async def test_a_broken_record(ids: tuple[str, ...], served: bool) -> None:
    async with Simulator(Config(listen=Listen(port=0)), behaviour=deviated(Behaviour(), *ids)) as simulator:
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            # Below TLS: a record that can't be decrypted. The transport under the TLS one is asyncio's own.
            transport = wire.writer.transport
            transport._ssl_protocol._transport.write(b"\x17\x03\x03\x00\x10" + b"\0" * 16)  # type: ignore[attr-defined]
            with contextlib.suppress(ssl.SSLError):
                await wire.rest()
        async with AsyncClient(simulator.address) as wire:
            wire.write(b'{"type":"hello","version":"1.0","features":["tls"]}\n{"type":"end"}\n')
            assert (b"hello_response" in await wire.line()) is served


@pytest.mark.parametrize("deviates", [False, True])
@pytest.mark.parametrize("id_", BESIDE)
async def test_a_handshake_that_gets_no_further(id_: str, deviates: bool) -> None:
    start, new_waits, open_waits = BESIDE[id_]
    behaviour = deviated(Behaviour(), id_) if deviates else Behaviour()
    simulator = Simulator(Config(listen=Listen(port=0)), behaviour=behaviour)
    async with simulator, AsyncClient(simulator.address) as beside:
        await beside.greet()
        _, writer = await asyncio.open_connection(*simulator.address)
        writer.write(start)
        await until(lambda: not deviates or _is_shaking_hands(simulator))
        await _see(_greet(simulator), waits=deviates and new_waits)
        await _see(beside.ask(BEAT_LINE), waits=deviates and open_waits)
        writer.transport.abort()


def _is_shaking_hands(simulator: Simulator) -> bool:
    peers = (peer for peer in simulator.server.edge.peers.values() if isinstance(peer, Peer))
    return any(getattr(peer._layer, "shaking_hands", False) for peer in peers)


async def _greet(simulator: Simulator) -> None:
    async with AsyncClient(simulator.address) as wire:
        await wire.greet()


async def _see(answer: Coroutine[Any, Any, object], *, waits: bool) -> None:
    """See that an answer comes, or that none does for a while."""
    try:
        await asyncio.wait_for(answer, 0.3 if waits else PATIENCE)
    except TimeoutError:
        assert waits
    else:
        assert not waits
