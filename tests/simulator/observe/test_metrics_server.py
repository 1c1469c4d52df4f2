"""The Prometheus endpoint over HTTP: the suite's oracle, `promtool check metrics` and a Prometheus server read it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import urllib.parse
import urllib.request
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, Final

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


QUERIES: Final = {
    "up": [({}, "1")],
    "cloudbridge_errors_total > 0": [({"error_type": "tenant_not_found"}, "1")],
    "count(histogram_quantile(0.99, cloudbridge_heartbeat_latency_seconds_bucket) > 0)": [({}, "1")],
    "cloudbridge_tenant_tunnel_limit": [({"tenant_id": STRANGE.id}, "1")],
    "cloudbridge_tenant_tunnels": [({"tenant_id": STRANGE.id}, "0"), ({"tenant_id": "tenant-001"}, "1")],
}
"""The labels and values of each query's result."""


def results(address: str, query: str) -> list[tuple[dict[str, str], str]]:
    """Return the results of a query, without the labels of the scrape; none while the server isn't ready."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        found: list[dict[str, Any]] = json.loads(get(url)[1])["data"]["result"]
    except OSError:
        return []
    scrape = {"__name__", "instance", "job"}
    labels = [{name: each["metric"][name] for name in each["metric"].keys() - scrape} for each in found]
    return sorted(zip(labels, (each["value"][1] for each in found), strict=True), key=str)


async def test_a_prometheus_server_scrapes_the_relay(tmp_path: Path) -> None:
    log, configuration = tmp_path / "log", tmp_path / "prometheus.yml"
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        await wire.greet()
        for data in (tunnel(), BEAT, tunnel(tenant="tenant-002")):
            await wire.ask(data)
        target = {"targets": [urllib.parse.urlsplit(str(simulator.metrics_url)).netloc]}
        scrapes = [{"job_name": "relay", "scrape_interval": "1s", "static_configs": [target]}]
        configuration.write_text(json.dumps({"scrape_configs": scrapes}))
        options = (
            f"--config.file={configuration}",
            f"--storage.tsdb.path={tmp_path}",
            "--web.listen-address=127.0.0.1:0",
        )
        with log.open("wb") as file:
            server = await asyncio.create_subprocess_exec(program("prometheus", "prometheus"), *options, stderr=file)
        try:
            end = time.monotonic() + 2 * PATIENCE
            while not (found := re.search(r'msg="Listening on" address=(\S+)', log.read_text())):
                assert server.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
            for query, expected in QUERIES.items():
                while (result := await asyncio.to_thread(results, found[1], query)) != expected:
                    assert time.monotonic() < end, (query, result)
                    await asyncio.sleep(0.2)
        finally:
            server.terminate()
            await server.wait()
