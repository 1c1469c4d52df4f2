"""Metrics of a real server that deviates."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

from simulator import Behaviour, Config, Simulator, deviated
from simulator.config import Listen, MetricsRules
from tests.simulator.client import PATIENCE, Wire

CONFIG = Config(listen=Listen(port=0), metrics=MetricsRules(enabled=True, port=0))


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
        async with Wire(simulator.address) as wire:
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
