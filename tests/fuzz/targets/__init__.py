"""The targets, one module per layer, each with a function `check` that any input must pass."""

from __future__ import annotations

from typing import Final

LIMITS: Final = {
    "framing": (10, 200),
    "websocket": (4, 400),
    "strictjson": (10, 256),
    "session": (2, 250),
    "tls": (2, 500),
    "tokens": (8, 700),
    "profile": (4, 1500),
    "suite": (6, 400),
}
"""For each target its share of all inputs, smaller for slow ones, and the longest input in bytes."""
