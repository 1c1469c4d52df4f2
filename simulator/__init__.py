"""The reference relay: behaviour without I/O, an asyncio edge, and named ways to be wrong or right but different."""

from __future__ import annotations

from simulator.behaviour import Behaviour
from simulator.clock import Clock
from simulator.config import Config, ConfigError, Listen
from simulator.config_read import load_config
from simulator.deployment import Deployment
from simulator.deviations import DEVIATIONS, RARE, Deviation, deviated
from simulator.open_points import OPEN_POINTS, OpenPoint, opened, opened_config
from simulator.server import Simulator
from simulator.variants import VARIANTS, Variant, arranged, varied

__all__ = [
    "DEVIATIONS",
    "OPEN_POINTS",
    "RARE",
    "VARIANTS",
    "Behaviour",
    "Clock",
    "Config",
    "ConfigError",
    "Deployment",
    "Deviation",
    "Listen",
    "OpenPoint",
    "Simulator",
    "Variant",
    "arranged",
    "deviated",
    "load_config",
    "opened",
    "opened_config",
    "varied",
]
