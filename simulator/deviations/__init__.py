"""Named ways to be wrong: each breaks exactly one requirement, and nothing else."""

from __future__ import annotations

from simulator.behaviour import Behaviour
from simulator.compose import both
from simulator.deviations import hello
from simulator.deviations.kind import Deviation as Deviation

_MODULES = (hello,)

DEVIATIONS = {deviation.id: deviation for module in _MODULES for deviation in module.DEVIATIONS}
"""Every deviation by its id."""


def deviated(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with deviations laid over it; KeyError where one isn't known."""
    return both(*(DEVIATIONS[id_].change for id_ in ids))(behaviour)
