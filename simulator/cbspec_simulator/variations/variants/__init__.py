"""Named ways to be right and different: freedoms that the specification leaves, taken on purpose."""

from __future__ import annotations

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import both
from cbspec_simulator.variations.variants import (
    answers,
    closing,
    limits,
    metrics,
    places,
    rates,
    refusals,
    spelling,
    tls,
    websocket,
    writing,
)
from cbspec_simulator.variations.variants.kind import Variant as Variant

_MODULES = (spelling, answers, writing, websocket, tls, closing, refusals, places, limits, rates, metrics)

VARIANTS = {variant.id: variant for module in _MODULES for variant in module.VARIANTS}
"""Every variant by its id."""


def varied(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with variants laid over it; KeyError where one isn't known."""
    return both(*(VARIANTS[id_].change for id_ in ids))(behaviour)


def arranged(config: Config, *ids: str) -> Config:
    """Return the configuration that variants need; KeyError where one isn't known."""
    for id_ in ids:
        config = VARIANTS[id_].arrange(config)
    return config
