"""The reference relay: behaviour without I/O, an asyncio edge, and named deviations and variants.

Exports are imported on first use, since pytest loads the plugin in every project of an environment with the kit.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from cbspec_simulator.app.assembly import Simulator as Simulator
    from cbspec_simulator.app.deployment import Deployment as Deployment
    from cbspec_simulator.base.clock import Clock as Clock
    from cbspec_simulator.control.controls import ControlError as ControlError
    from cbspec_simulator.observe.transcript import TranscriptEntry as TranscriptEntry
    from cbspec_simulator.relay.behaviour import Behaviour as Behaviour
    from cbspec_simulator.settings.config import Config as Config
    from cbspec_simulator.settings.config import ConfigError as ConfigError
    from cbspec_simulator.settings.config import Listen as Listen
    from cbspec_simulator.settings.reading import load_config as load_config
    from cbspec_simulator.testing.fault import LocalFault as LocalFault
    from cbspec_simulator.testing.relay import LocalRelay as LocalRelay
    from cbspec_simulator.testing.relay import OpenConnection as OpenConnection
    from cbspec_simulator.testing.transcript import LocalTranscript as LocalTranscript
    from cbspec_simulator.variations.registry import DEVIATIONS as DEVIATIONS
    from cbspec_simulator.variations.registry import OPEN_POINTS as OPEN_POINTS
    from cbspec_simulator.variations.registry import PERSONAS as PERSONAS
    from cbspec_simulator.variations.registry import RARE as RARE
    from cbspec_simulator.variations.registry import VARIANTS as VARIANTS
    from cbspec_simulator.variations.registry import Variation as Variation
    from cbspec_simulator.variations.registry import arranged as arranged
    from cbspec_simulator.variations.registry import varied as varied
else:
    _MODULES = {
        "app.assembly": ["Simulator"],
        "app.deployment": ["Deployment"],
        "base.clock": ["Clock"],
        "control.controls": ["ControlError"],
        "observe.transcript": ["TranscriptEntry"],
        "relay.behaviour": ["Behaviour"],
        "settings.config": ["Config", "ConfigError", "Listen"],
        "settings.reading": ["load_config"],
        "testing.fault": ["LocalFault"],
        "testing.relay": ["LocalRelay", "OpenConnection"],
        "testing.transcript": ["LocalTranscript"],
        "variations.registry": [
            *("DEVIATIONS", "OPEN_POINTS", "PERSONAS", "RARE", "VARIANTS", "Variation", "arranged", "varied"),
        ],
    }
    __all__ = sorted(name for names in _MODULES.values() for name in names)

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"cbspec_simulator.{module}"), name)
        raise AttributeError(f"module 'cbspec_simulator' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
