"""Relays that each break one requirement."""

from __future__ import annotations

from cbspec_simulator.variations.deviations import (
    arrival,
    authentication,
    conditions,
    errors,
    heartbeat,
    hello,
    input,
    limits,
    metrics,
    output,
    robustness,
    tenants,
    tls,
    tunnel,
    websocket,
)

MODULES = (
    hello,
    authentication,
    tunnel,
    heartbeat,
    errors,
    limits,
    conditions,
    input,
    arrival,
    output,
    tls,
    tenants,
    metrics,
    websocket,
    robustness,
)
