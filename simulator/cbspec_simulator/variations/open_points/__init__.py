"""Relays that conform and decide a question that the specification leaves open; a fingerprint shows each of them."""

from __future__ import annotations

from cbspec_simulator.variations.open_points import (
    edges,
    order,
    reading,
    tokens,
    tunnels,
)

MODULES = (order, tokens, tunnels, reading, edges)
