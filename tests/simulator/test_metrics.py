"""The Prometheus endpoint: what it counts, and that clients can't make it grow."""

from __future__ import annotations

import asyncio
import urllib.request
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from simulator import Config, Simulator
from simulator.config import Listen, MetricsRules
from tests.simulator.client import BEAT, HELLO, PATIENCE, Wire, auth, tunnel, until

CONFIG = Config(listen=Listen(port=0), metrics=MetricsRules(enabled=True, port=0))
Samples = dict[tuple[str, tuple[str, ...]], float]


async def _samples(simulator: Simulator) -> Samples:
    url = simulator.metrics_url
    assert url

    def get() -> str:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - http, and our own
            assert response.status == 200
            text: bytes = response.read()
            return text.decode()

    text = await asyncio.to_thread(get)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


async def test_what_is_counted() -> None:
    async with Simulator(CONFIG) as simulator:
        async with Wire(simulator.address) as wire:
            await wire.greet()
            await wire.ask(tunnel())
            await wire.ask(BEAT)
            await wire.ask(b'{"type":"whatever a client thinks of"}\n')
            found = await _samples(simulator)
        await until(lambda: not simulator.relay.sessions)
        after = await _samples(simulator)
    assert found["cloudbridge_connections_total", ()] == 1
    assert found["cloudbridge_active_connections", ()] == 1
    assert {labels[0]: value for (name, labels), value in found.items() if name == "cloudbridge_messages_total"} == {
        "hello": 1,
        "auth": 1,
        "tunnel_info": 1,
        "heartbeat": 1,
        "unknown": 1,
    }
    assert found["cloudbridge_errors_total", ("unknown_message_type",)] == 1
    assert found["cloudbridge_tunnels_open", ("tenant-001",)] == 1
    assert (found["cloudbridge_buffer_pool_size", ()], found["cloudbridge_buffer_pool_usage", ()]) == (100, 1)
    assert after["cloudbridge_active_connections", ()] == after["cloudbridge_buffer_pool_usage", ()] == 0


async def test_no_client_adds_a_series() -> None:
    async with Simulator(CONFIG) as simulator:
        before = set(await _samples(simulator))
        async with Wire(simulator.address) as wire:
            await wire.ask(HELLO)
            for number in range(50):
                await wire.ask(f'{{"type":"t{number}"}}\n'.encode())
                await wire.ask(auth(f"tenant-{number}-new"))
            await wire.ask(auth())
            for number in range(50):
                await wire.ask(tunnel(f"tunnel-{number}"))
        assert set(await _samples(simulator)) == before


async def test_there_are_none_unless_asked_for() -> None:
    async with Simulator(replace(CONFIG, metrics=MetricsRules())) as simulator:
        assert simulator.metrics_url is None
