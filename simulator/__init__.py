"""The reference relay: behaviour without I/O, an asyncio edge, and named ways to be wrong or right but different."""

from __future__ import annotations

from simulator.behaviour import Behaviour
from simulator.config import Config, ConfigError
from simulator.server import Simulator

__all__ = ["Behaviour", "Config", "ConfigError", "Simulator"]
