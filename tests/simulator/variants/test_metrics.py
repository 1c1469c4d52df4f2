"""Metrics with other names, or in another form."""

from __future__ import annotations

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.simulator.client import PATIENCE
from tests.simulator.variants.probe import serving


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - http, and our own
        return str(response.read().decode())


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
