"""What an open point is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cbspec.profile.target import Transport
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import Change
from cbspec_simulator.variations.variants.kind import as_told


def _same(behaviour: Behaviour) -> Behaviour:
    return behaviour


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """One way to go where the specification doesn't say which.

    `requirement` is the INFO or SHOULD row that shows it. `change` makes the relay behave so; `arrange` is what its
    configuration must say for it. `transport` is named where it shows on one transport only.
    """

    id: str
    requirement: str
    sentence: str
    change: Change = _same
    arrange: Callable[[Config], Config] = as_told
    transport: Transport | None = None
