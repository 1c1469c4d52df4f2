"""The Prometheus endpoint over HTTP: both formats, as the suite's oracle and `promtool check metrics` read them."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from asyncio.subprocess import PIPE

from cbspec.profile.target import Rate, Tenant
from cbspec_conformance.oracles.exposition import samples
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.support.client import BEAT, PATIENCE, AsyncClient, auth, tunnel
from tests.support.processes import program

STRANGE = Tenant(
    'of "quotes", \\ and\nlines, ünïcode', tunnel_limit=1, connection_limit=9, rate=Rate(1000, 1000, "tenant")
)
TENANTS = (Tenant("tenant-001"), STRANGE)
CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0), tenants=TENANTS)


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


async def test_promtool_accepts_the_metrics() -> None:
    promtool = program("promtool", "prometheus")
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        simulator.controls.add_fault({"kind": "error", "code": "new_code", "when": {"message": "heartbeat", "nth": 2}})
        await wire.greet()
        for data in (tunnel(), BEAT, BEAT, b'{"type":"x"}\n', tunnel(port=0), auth("nobody")):
            await wire.ask(data)
        _, text = await asyncio.to_thread(get, str(simulator.metrics_url))
    for words in ('error_type="other"} 1', 'error_type="invalid_tunnel_info"} 1', 'kind="error"} 1', 'of \\"quotes\\"'):
        assert words in text
    checking = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert await checking.communicate(text.encode()) == (b"", b"")
    assert checking.returncode == 0
