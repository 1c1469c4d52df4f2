"""Metrics of a real server that deviates."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.support.client import PATIENCE, AsyncClient

CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


def _deviating(id_: str) -> Simulator:
    return Simulator(CONFIG, behaviour=deviated(Behaviour(), id_))


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - http, and our own
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


async def _metrics(id_: str) -> tuple[int, bytes, bytes]:
    """Return the metrics' status, and the metrics before and after a connection."""
    async with _deviating(id_) as simulator:
        assert simulator.metrics_url
        status, before = await asyncio.to_thread(_get, simulator.metrics_url)
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
            _, after = await asyncio.to_thread(_get, simulator.metrics_url)
    return status, before, after


async def test_the_metrics() -> None:
    clean = await _metrics("rate-ignored")
    assert clean[0] == 200
    assert clean[1] != clean[2]
    assert (await _metrics("metrics-not-found"))[0] == 404
    assert b"<html>" in (await _metrics("metrics-html"))[1]
    assert b"\ncloudbridge_state fine\n" in (await _metrics("metrics-value-not-a-number"))[1]
    frozen = await _metrics("metrics-frozen")
    assert frozen[1] == frozen[2]


SHOWN: dict[str, bytes] = {
    "empty": b"",
    "json": b'{"connections": 1}\n',
    "not-utf8": b'{tenant="\xff"} 1\n',
    "name-with-dash": b"\ncloudbridge-open 1\n",
    "name-begins-with-digit": b"\n2xx_total 1\n",
    "label-without-quotes": b"{tenant=a} 1\n",
    "label-not-closed": b'{tenant="a" 1\n',
    "quote-in-label": b'{tenant="a"b"} 1\n',
    "value-missing": b"\ncloudbridge_open\n",
    "value-with-comma": b"\ncloudbridge_open 1,5\n",
    "value-with-unit": b"\ncloudbridge_open 12ms\n",
    "timestamp-as-text": b" 2024-01-01T00:00:00Z\n",
    "unknown-type": b"# TYPE cloudbridge_open number\ncloudbridge_open 1\n",
    "type-twice": b"\n# TYPE cloudbridge_open gauge\ncloudbridge_open 1\n# TYPE cloudbridge_open gauge\n",
    "histogram-without-inf": b'\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 1\n',
    "histogram-not-cumulative": b'h_bucket{le="1"} 1\nh_bucket{le="2"} 0\nh_bucket{le="+Inf"} 2\nh_count 2\n',
    "sample-twice": b"\ncloudbridge_open 1\ncloudbridge_open 2\n",
}
"""By id: how the body ends."""

STATUS = {"no-content": 204, "unauthorized": 401, "broken": 500}


@pytest.mark.parametrize("name", SHOWN)
async def test_what_can_not_be_read(name: str) -> None:
    status, body, _ = await _metrics(f"metrics-{name}")
    assert status == 200
    assert body.endswith(SHOWN[name])
    assert len(body) == len(SHOWN[name]) or name not in ("empty", "json")


async def test_a_line_that_is_cut_off() -> None:
    assert not (await _metrics("metrics-cut-off"))[1].endswith(b"\n")


@pytest.mark.parametrize("name", STATUS)
async def test_another_status(name: str) -> None:
    assert (await _metrics(f"metrics-{name}"))[0] == STATUS[name]


PROBED = {f"metrics-{name}" for name in (*SHOWN, *STATUS, "cut-off")} | {
    "metrics-not-found",
    "metrics-html",
    "metrics-value-not-a-number",
    "metrics-frozen",
}
