"""The targets: one module a layer, with a `TARGET` that checks any bytes."""

from __future__ import annotations

from typing import Final

NAMES: Final = (
    "framing",
    "websocket",
    "strictjson",
    "messages",
    "connection",
    "session",
    "tls",
    "tokens",
    "masking",
    "profile",
    "scenario",
    "suite",
)
"""The modules of this folder that are targets."""
