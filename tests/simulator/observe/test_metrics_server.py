"""The Prometheus endpoint over HTTP."""

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
    """Return content type and text."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - http
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - as above
        assert response.status == 200
        return response.headers["Content-Type"], response.read().decode()


async def test_both_formats_agree_and_no_client_delays_another() -> None:
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as client:
        url = str(simulator.metrics_url)
        await client.greet()
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0]))):  # sends no request
            kind, text = await asyncio.to_thread(get, url)
            other_kind, other = await asyncio.to_thread(get, url, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("text/plain")
    assert other_kind.startswith("application/openmetrics-text")
    plain = samples(text)
    assert plain == samples(other, openmetrics=True)
    assert plain["cloudbridge_connections_total[('transport', 'tcp')]"] == plain["cloudbridge_sessions_total[]"] == 1
    assert plain["cloudbridge_messages_total[('type', 'auth')]"] == 1


async def test_a_used_port_is_named_and_metrics_are_optional() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"\[metrics\] port {port}: address already in use"):
            await Simulator(replace(CONFIG, metrics=MetricsSettings(enabled=True, port=port))).start()
    async with Simulator(replace(CONFIG, metrics=MetricsSettings())) as simulator:
        assert simulator.metrics_url is None
