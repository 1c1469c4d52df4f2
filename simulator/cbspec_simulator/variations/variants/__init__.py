"""Relays that conform and use a freedom of the specification."""

from __future__ import annotations

from cbspec_simulator.variations.variants import (
    closing,
    content,
    metrics,
    rates,
    refusals,
    spelling,
    tls,
    websocket,
    writing,
)

MODULES = (spelling, content, writing, websocket, tls, closing, refusals, rates, metrics)
