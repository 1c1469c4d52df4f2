"""A large answer: it is made while it is sent, and other connections don't wait for it."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from dataclasses import replace
from typing import Any, Final

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.settings.config import Listen
from tests.support.client import BEAT, PATIENCE, AsyncClient, RawClient, tunnel
from tests.support.messages import HELLO

CONFIG: Final = Config(listen=Listen(port=0))
SIZE: Final = 1_000_000
WHEN: Final = {"message": "hello_response"}


def serving(*faults: dict[str, Any]) -> Simulator:
    return Simulator(replace(CONFIG, faults=tuple(map(Fault.read, faults))))


async def test_a_hundred_megabytes_need_little_memory_and_no_other_connection_waits() -> None:
    fault = {"kind": "oversize", "bytes": 100_000_000, "when": {"message": "tunnel_response"}}
    async with (
        serving(fault) as simulator,
        AsyncClient(simulator.address) as large,
        AsyncClient(simulator.address) as other,
    ):
        await large.greet()
        await other.greet()
        tracemalloc.start()
        try:
            large.write(tunnel())
            first = await large.reader.readexactly(10_000)
            for _ in range(20):
                assert (await other.ask(BEAT))["type"] == "heartbeat_response"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert first.startswith(b'{"type":"tunnel_response",')
        assert peak < 20_000_000, "the whole text would be a hundred megabytes"
        (answer,) = [entry for entry in simulator.transcript.entries() if entry.type == "tunnel_response"]
        assert answer.text.endswith("… (100000069 bytes)")


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize(
    ("others", "sent"),
    [
        ([], True),
        ([{"kind": "latency", "seconds": 0.01}], True),
        ([{"kind": "dribble", "bytes": 10_000, "seconds": 0.0}], True),
        ([{"kind": "split", "at": [5, 900_000], "seconds": 0.0}], True),
        ([{"kind": "merge", "messages": 2, "seconds": 0.01}], True),
        ([{"kind": "reorder", "seconds": 0.01}], True),
        ([{"kind": "spelling", "how": "order"}], True),
        ([{"kind": "duplicate"}], True),
        ([{"kind": "close-without-notify", "bytes": 700_000}], False),
    ],
    ids=lambda value: "+".join(each["kind"] for each in value) or "alone" if isinstance(value, list) else "",
)
async def test_the_padding_is_complete_next_to_other_faults(
    transport: str, others: list[dict[str, Any]], sent: bool
) -> None:
    faults = [{"kind": "oversize", "bytes": SIZE, "when": WHEN}, *({**other, "when": WHEN} for other in others)]

    def ask(address: tuple[str, int]) -> tuple[list[bytes], int]:
        with RawClient(address, transport) as client:
            client.handshake().upgraded()
            client.send(HELLO)
            texts = client.texts(2 if "duplicate" in str(faults) else 1)
            if not sent:
                client.end()
            return texts, sum(map(len, client.records))

    async with serving(*faults) as simulator:
        async with asyncio.timeout(PATIENCE):
            texts, size = await asyncio.to_thread(ask, simulator.address)
        (*_, last) = [entry for entry in simulator.transcript.entries() if entry.event in ("answer", "sent")]
    if sent:
        assert [len(json.loads(text)["padding"]) for text in texts] == [SIZE] * len(texts)
        assert last.text.endswith(f"… ({len(texts[0])} bytes)")
    else:
        assert (texts, size) == ([], 700_000)
        assert last.text.endswith("… (700000 bytes)")
