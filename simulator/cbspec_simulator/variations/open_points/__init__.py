"""Named ways to go where the specification doesn't say which: none is wrong, and a fingerprint shows each."""

from __future__ import annotations

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import both
from cbspec_simulator.variations.open_points import edges, order, reading, tokens, tunnels
from cbspec_simulator.variations.open_points.kind import OpenPoint as OpenPoint

_MODULES = (order, tokens, tunnels, reading, edges)

OPEN_POINTS = {point.id: point for module in _MODULES for point in module.OPEN_POINTS}
"""Every open point by its id."""


def opened(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with open points laid over it; KeyError where one isn't known."""
    return both(*(OPEN_POINTS[id_].change for id_ in ids))(behaviour)


def opened_config(config: Config, *ids: str) -> Config:
    """Return the configuration that open points need; KeyError where one isn't known."""
    for id_ in ids:
        config = OPEN_POINTS[id_].arrange(config)
    return config
