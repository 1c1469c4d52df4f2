"""Named ways to be wrong: each breaks one requirement, and as far as can be nothing else."""

from __future__ import annotations

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.compose import both
from cbspec_simulator.variations.deviations import (
    accounts,
    arrival,
    auth,
    codes,
    conditions,
    errors,
    hello,
    hostility,
    identifiers,
    limits,
    members,
    metrics,
    output,
    reading,
    requests,
    robustness,
    spelling,
    tenants,
    tls,
    tokens,
    trust,
    tunnel,
    websocket,
)
from cbspec_simulator.variations.deviations.kind import Deviation as Deviation
from cbspec_simulator.variations.deviations.rare import RARE as RARE

_MODULES = (
    hello,
    auth,
    tokens,
    tunnel,
    tenants,
    trust,
    errors,
    requests,
    members,
    identifiers,
    codes,
    limits,
    accounts,
    conditions,
    output,
    spelling,
    reading,
    arrival,
    tls,
    websocket,
    metrics,
    robustness,
    hostility,
)

DEVIATIONS = {deviation.id: deviation for module in _MODULES for deviation in module.DEVIATIONS}
"""Every deviation by its id."""

KNOWN = {**DEVIATIONS, **RARE}
"""Those that are only now and then wrong, too."""


def deviated(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with deviations laid over it; KeyError where one isn't known."""
    return both(*(KNOWN[id_].change for id_ in ids))(behaviour)
