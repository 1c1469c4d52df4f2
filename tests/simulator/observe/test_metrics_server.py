"""The endpoint: what it answers over HTTP, to whom, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from dataclasses import replace

import pytest

from cbspec_conformance.oracles.exposition import samples
from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.support.client import PATIENCE, AsyncClient

CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


def get(url: str, accept: str = "") -> tuple[str, str]:
    """Return the content type and the text."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - http, and our own
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - as above
        assert response.status == 200
        return response.headers["Content-Type"], response.read().decode()


async def test_both_formats_say_the_same() -> None:
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        assert simulator.metrics_url
        await wire.greet()
        kind, text = await asyncio.to_thread(get, simulator.metrics_url)
        assert kind.startswith("text/plain")
        other_kind, other_text = await asyncio.to_thread(
            get, simulator.metrics_url, "application/openmetrics-text; version=1.0.0"
        )
        assert other_kind.startswith("application/openmetrics-text")
    plain = samples(text)
    assert plain == samples(other_text, openmetrics=True)
    assert plain["cloudbridge_connections_total[('transport', 'tcp')]"] == plain["cloudbridge_sessions_total[]"] == 1
    assert plain["cloudbridge_messages_total[('type', 'auth')]"] == 1


async def test_who_asks_for_nothing_keeps_nobody_waiting() -> None:
    async with Simulator(CONFIG) as simulator:
        assert simulator.metrics_url
        port = int(simulator.metrics_url.rsplit(":", 1)[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            await asyncio.to_thread(get, simulator.metrics_url)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"\[metrics\] port {port}: address already in use"):
            await Simulator(replace(CONFIG, metrics=MetricsSettings(enabled=True, port=port))).start()


async def test_there_are_none_unless_asked_for() -> None:
    async with Simulator(replace(CONFIG, metrics=MetricsSettings())) as simulator:
        assert simulator.metrics_url is None
