"""What Prometheus itself makes of the metrics: `promtool check metrics`, and a server that scrapes a busy relay."""

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
from cbspec_simulator.settings.config import Listen, MetricsSettings, RelaySettings
from tests.debian import program
from tests.simulator.observe.test_metrics_server import get
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, auth, tunnel

STRANGE = 'of "quotes", \\ and\nlines, ünïcode'
BUSY = Config(
    listen=Listen(port=0),
    metrics=MetricsSettings(enabled=True, port=0),
    tenants=(
        Tenant("tenant-001"),
        Tenant(STRANGE, tunnel_limit=1, connection_limit=9, rate=Rate(1000, 1000, "tenant")),
    ),
    relay=RelaySettings(buffer_pool=20_000, connection_limit=100),
)
Values = dict[tuple[str, ...], float]
BATCH = 50
"""So many requests are under way at a time."""
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


async def test_promtool_is_content() -> None:
    promtool = program("promtool", "prometheus")
    async with Simulator(BUSY) as simulator, AsyncClient(simulator.address) as wire:
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
    """Debian's Prometheus as a process of its own, which scrapes one address every second."""

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
        """Return the values that a query gives, by their labels, those of the scrape itself left out."""
        url = f"http://{self._address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"

        def answer() -> bytes:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                data: bytes = response.read()
                return data

        try:
            found = json.loads(await asyncio.to_thread(answer))["data"]["result"]
        except OSError:  # not ready yet
            return {}
        scrape = ("__name__", "instance", "job")
        return {
            tuple(v for name, v in sorted(each["metric"].items()) if name not in scrape): float(each["value"][1])
            for each in found
        }

    async def until(self, query: str, wanted: Values) -> None:
        """Wait for a scrape after which a query gives what is wanted."""
        end = time.monotonic() + 2 * PATIENCE
        while (found := await self.ask(query)) != wanted:
            assert time.monotonic() < end, f"{query}: {found} instead of {wanted}"
            await asyncio.sleep(0.2)


async def _work(simulator: Simulator, number: int, tunnels: int) -> None:
    """Be one of the clients: invent tunnels, and a tenth as many tenants, subjects and types; beat in between."""
    async with AsyncClient(simulator.address) as wire:
        assert (await wire.ask(HELLO))["type"] == "hello_response"
        for first in range(0, tunnels // 10, BATCH):
            names = [f"{number}-{each}" for each in range(first, first + BATCH)]
            wire.write(b"".join(auth(f"tenant-{n}") + f'{{"type":"type-{n}"}}\n'.encode() for n in names))
            for _ in range(2 * BATCH):
                await wire.line()
        assert (await wire.ask(auth(sub=f"subject-{number}")))["type"] == "auth_response"
        for first in range(0, tunnels, BATCH):
            wire.write(b"".join(tunnel(f"tunnel-{number}-{each}") for each in range(first, first + BATCH)) + BEAT)
            for _ in range(BATCH + 1):
                await wire.line()


async def test_a_real_scrape_under_load(tmp_path: Path) -> None:
    clients, tunnels = 4, 2500
    all_tunnels, all_others = clients * tunnels, clients * tunnels // 10
    series = 'count({job="relay", __name__=~"cloudbridge_.*"})'
    async with Simulator(BUSY) as simulator:
        assert simulator.metrics_url
        async with Prometheus(simulator.metrics_url, tmp_path) as prometheus, AsyncClient(simulator.address) as wire:
            await wire.greet()
            await prometheus.until("cloudbridge_sessions_total", {(): 1})
            before = await prometheus.ask(series)
            await asyncio.gather(*(_work(simulator, number, tunnels) for number in range(clients)))
            await prometheus.until('cloudbridge_messages_total{type="tunnel_info"}', {("tunnel_info",): all_tunnels})
            await prometheus.until(series, before)
            await prometheus.until("up", {(): 1})
            refused: Values = {("tenant_not_found",): all_others, ("unknown_message_type",): all_others}
            await prometheus.until("cloudbridge_errors_total > 0", refused)
            await prometheus.until("cloudbridge_sessions_total", {(): 1 + clients})
            await prometheus.until("cloudbridge_heartbeat_latency_seconds_count", {(): all_tunnels // BATCH})
            slow = "histogram_quantile(0.99, cloudbridge_heartbeat_latency_seconds_bucket) > 0"
            await prometheus.until(f"count({slow})", {(): 1})
            await prometheus.until("cloudbridge_tenant_tunnel_limit", {(STRANGE,): 1})
            await prometheus.until("cloudbridge_active_connections", {(): 1})
            await prometheus.until("cloudbridge_tenant_tunnels", {("tenant-001",): 0, (STRANGE,): 0})
