"""The reference relay: behaviour without I/O, an asyncio edge, and named ways to be wrong or right but different.

What it exports is imported when it is first asked for: pytest loads `simulator.pytest_plugin` in every project where
the kit is installed, and that must cost nothing where nobody uses it.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from simulator.behaviour import Behaviour
    from simulator.clock import Clock
    from simulator.config import Config, ConfigError, Listen
    from simulator.config_read import load_config
    from simulator.control.controls import ControlError
    from simulator.deployment import Deployment
    from simulator.deviations import DEVIATIONS, RARE, Deviation, deviated
    from simulator.local import LocalFault, LocalRelay, LocalTranscript, OpenConnection
    from simulator.open_points import OPEN_POINTS, OpenPoint, opened, opened_config
    from simulator.server import Simulator
    from simulator.transcript import Entry
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
    "ControlError",
    "Deployment",
    "Deviation",
    "Entry",
    "Listen",
    "LocalFault",
    "LocalRelay",
    "LocalTranscript",
    "OpenConnection",
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

_HOMES = {
    "behaviour": ("Behaviour",),
    "clock": ("Clock",),
    "config": ("Config", "ConfigError", "Listen"),
    "config_read": ("load_config",),
    "control.controls": ("ControlError",),
    "deployment": ("Deployment",),
    "deviations": ("DEVIATIONS", "RARE", "Deviation", "deviated"),
    "local": ("LocalFault", "LocalRelay", "LocalTranscript", "OpenConnection"),
    "open_points": ("OPEN_POINTS", "OpenPoint", "opened", "opened_config"),
    "server": ("Simulator",),
    "transcript": ("Entry",),
    "variants": ("VARIANTS", "Variant", "arranged", "varied"),
}


if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f"simulator.{home}"), name)
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
