"""The reference relay: behaviour without I/O, an asyncio edge, and named ways to be wrong or right but different.

What it exports is imported when it is first asked for: pytest loads the plugin in every project in an environment with
the kit, and an unused plugin must cost nothing.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from cbspec_simulator.app.assembly import Simulator
    from cbspec_simulator.app.deployment import Deployment
    from cbspec_simulator.base.clock import Clock
    from cbspec_simulator.control.controls import ControlError
    from cbspec_simulator.observe.transcript import TranscriptEntry
    from cbspec_simulator.relay.behaviour import Behaviour
    from cbspec_simulator.settings.config import Config, ConfigError, Listen
    from cbspec_simulator.settings.reading import load_config
    from cbspec_simulator.testing.fault import LocalFault
    from cbspec_simulator.testing.relay import LocalRelay, OpenConnection
    from cbspec_simulator.testing.transcript import LocalTranscript
    from cbspec_simulator.variations.registry import (
        DEVIATIONS,
        OPEN_POINTS,
        PERSONAS,
        RARE,
        VARIANTS,
        Variation,
        arranged,
        varied,
    )

__all__ = [
    "DEVIATIONS",
    "OPEN_POINTS",
    "PERSONAS",
    "RARE",
    "VARIANTS",
    "Behaviour",
    "Clock",
    "Config",
    "ConfigError",
    "ControlError",
    "Deployment",
    "Listen",
    "LocalFault",
    "LocalRelay",
    "LocalTranscript",
    "OpenConnection",
    "Simulator",
    "TranscriptEntry",
    "Variation",
    "arranged",
    "load_config",
    "varied",
]

_HOMES = {
    "relay.behaviour": ("Behaviour",),
    "base.clock": ("Clock",),
    "settings.config": ("Config", "ConfigError", "Listen"),
    "settings.reading": ("load_config",),
    "control.controls": ("ControlError",),
    "app.deployment": ("Deployment",),
    "testing.fault": ("LocalFault",),
    "testing.relay": ("LocalRelay", "OpenConnection"),
    "testing.transcript": ("LocalTranscript",),
    "app.assembly": ("Simulator",),
    "observe.transcript": ("TranscriptEntry",),
    "variations.registry": (
        "DEVIATIONS",
        "OPEN_POINTS",
        "PERSONAS",
        "RARE",
        "VARIANTS",
        "Variation",
        "arranged",
        "varied",
    ),
}


if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f"cbspec_simulator.{home}"), name)
        raise AttributeError(f"module 'cbspec_simulator' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
