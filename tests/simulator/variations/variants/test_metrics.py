"""Metrics with other names, or in another form."""

from __future__ import annotations

import asyncio
import gzip
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.simulator.variations.variants.probe import serving
from tests.support.client import PATIENCE


def _get(url: str) -> str:
    wish = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    request = urllib.request.Request(url, headers=wish)  # noqa: S310 - http, and our own
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - the same
        data = response.read()
        return str((gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode())


async def _text(*ids: str) -> str:
    async with serving(*ids) as simulator:
        assert simulator.metrics_url
        return await asyncio.to_thread(_get, simulator.metrics_url)


async def test_names() -> None:
    clean, other = await _text(), await _text("metrics-other-names")
    assert "cloudbridge_errors_total" in clean
    assert "cloudbridge" not in other
    assert "relay:v2_errors_total" in {
        sample.name for family in text_string_to_metric_families(other) for sample in family.samples
    }


async def test_form() -> None:
    clean, bare = await _text(), await _text("metrics-bare")
    assert "# HELP" in clean
    assert "#" not in bare
    stamped = [s for family in text_string_to_metric_families(bare) for s in family.samples]
    assert stamped
    assert all(sample.timestamp for sample in stamped)
