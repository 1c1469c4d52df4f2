"""The metrics in Prometheus: `promtool check metrics`, and a server that scrapes a relay."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.parse
import urllib.request
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Self

from cbspec.profile.target import Rate, Tenant
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.debian import program
from tests.simulator.observe.test_metrics_server import get
from tests.support.client import BEAT, PATIENCE, AsyncClient, auth, tunnel

STRANGE = 'of "quotes", \\ and\nlines, ünïcode'
CONFIG = Config(
    listen=Listen(port=0),
    metrics=MetricsSettings(enabled=True, port=0),
    tenants=(
        Tenant("tenant-001"),
        Tenant(STRANGE, tunnel_limit=1, connection_limit=9, rate=Rate(1000, 1000, "tenant")),
    ),
)
Values = dict[tuple[str, ...], float]
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


async def test_promtool_accepts_the_metrics() -> None:
    promtool = program("promtool", "prometheus")
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        assert simulator.metrics_url
        simulator.controls.add_fault({"kind": "error", "code": "new_code", "when": {"message": "heartbeat", "nth": 2}})
        await wire.greet()
        for data in (tunnel(), BEAT, BEAT, b'{"type":"x"}\n', tunnel(port=0), auth("nobody")):
            await wire.ask(data)
        _, text = await asyncio.to_thread(get, simulator.metrics_url)
    for words in ('error_type="other"} 1', 'error_type="invalid_tunnel_info"} 1', 'kind="error"} 1', 'of \\"quotes\\"'):
        assert words in text
    checking = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert await checking.communicate(text.encode()) == (b"", b"")
    assert checking.returncode == 0


class Prometheus:
    """A process of Debian's Prometheus that scrapes one address every second."""

    def __init__(self, url: str, folder: Path) -> None:
        self._log = folder / "log"
        configuration = folder / "prometheus.yml"
        address = urllib.parse.urlsplit(url).netloc
        jobs = [{"job_name": "relay", "static_configs": [{"targets": [address]}]}]
        configuration.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        self._command = [
            program("prometheus", "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        self._process: Process
        self._address = ""

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log)
        while not (found := _LISTENING.search(self._log.read_text())):
            assert self._process.returncode is None, self._log.read_text()
            await asyncio.sleep(0.05)
        self._address = found[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        await self._process.wait()

    async def ask(self, query: str) -> Values:
        """Return the values of a query by their labels, without those of the scrape itself."""
        url = f"http://{self._address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"

        def request() -> bytes:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                data: bytes = response.read()
                return data

        try:
            found = json.loads(await asyncio.to_thread(request))["data"]["result"]
        except OSError:  # not ready yet
            return {}
        scrape = ("__name__", "instance", "job")
        return {
            tuple(v for name, v in sorted(each["metric"].items()) if name not in scrape): float(each["value"][1])
            for each in found
        }

    async def until(self, query: str, expected: Values) -> None:
        """Wait for a scrape after which a query has these values."""
        end = time.monotonic() + 2 * PATIENCE
        while (found := await self.ask(query)) != expected:
            assert time.monotonic() < end, f"{query}: {found} instead of {expected}"
            await asyncio.sleep(0.2)


async def test_a_real_prometheus_scrapes_the_relay(tmp_path: Path) -> None:
    async with Simulator(CONFIG) as simulator, AsyncClient(simulator.address) as wire:
        assert simulator.metrics_url
        async with Prometheus(simulator.metrics_url, tmp_path) as prometheus:
            await wire.greet()
            for data in (tunnel(), BEAT, tunnel(tenant="tenant-002")):
                await wire.ask(data)
            expected: dict[str, Values] = {
                "up": {(): 1},
                "cloudbridge_errors_total > 0": {("tenant_not_found",): 1},
                "count(histogram_quantile(0.99, cloudbridge_heartbeat_latency_seconds_bucket) > 0)": {(): 1},
                "cloudbridge_tenant_tunnel_limit": {(STRANGE,): 1},
                "cloudbridge_tenant_tunnels": {("tenant-001",): 1, (STRANGE,): 0},
            }
            for query, values in expected.items():
                await prometheus.until(query, values)
