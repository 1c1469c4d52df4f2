"""What a variant is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cbspec.profile.target import Transport
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import Change


def _same(behaviour: Behaviour) -> Behaviour:
    return behaviour


def as_told(config: Config) -> Config:
    """Leave the configuration as it is."""
    return config


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to be right and different.

    `change` makes the relay behave so; `arrange` is what its configuration must say for it. `transport` is named where
    it shows on one transport only, `openssl` where OpenSSL must be configured by a file when the process begins.
    """

    id: str
    sentence: str
    change: Change = _same
    arrange: Callable[[Config], Config] = as_told
    transport: Transport | None = None
    openssl: Path | None = None
