"""The setup of a local relay: its sources, and the configuration and behaviour that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config
from cbspec_simulator.settings.reading import load_config
from cbspec_simulator.settings.scenarios import scenario_file
from cbspec_simulator.variations.registry import PERSONAS, VARIANTS, arranged, check_ids, varied

Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setup:
    """A scenario, a configuration that overrides it, additional faults, personas (ids of deviations) and variants.

    Relative files are looked up in `folder` first.
    """

    scenario: str | Path | None = None
    config: Source | None = None
    faults: tuple[Mapping[str, Any], ...] = ()
    persona: tuple[str, ...] = ()
    variant: tuple[str, ...] = ()
    folder: Path = Path()

    @classmethod
    def of(
        cls,
        scenario: str | Path | None = None,
        *,
        config: Source | None = None,
        faults: Iterable[Mapping[str, Any]] = (),
        persona: str | Iterable[str] = (),
        variant: str | Iterable[str] = (),
        folder: Path | None = None,
    ) -> Setup:
        """Return a setup; a single persona or variant may be given as a string."""
        return cls(scenario, config, tuple(faults), _ids(persona), _ids(variant), folder or Path())

    @property
    def character(self) -> tuple[tuple[str, ...], ...]:
        """The parts that can't change while connections are open."""
        return self.persona, self.variant

    def read(self, port: int = 0) -> Config:
        """Return the configuration, for 127.0.0.1 and a port (0: any free port). Raises ConfigError."""
        sources: list[Source] = []
        if self.scenario is not None:
            sources.append(self._found(self.scenario) or scenario_file(str(self.scenario)))
        if self.config is not None:
            sources.append(self._found(self.config) or self.config)
        if self.faults:
            sources.append({"faults": list(self.faults)})
        check_ids("variant", self.variant, VARIANTS)
        config = arranged(load_config(*sources), *self.variant)
        # Tests may run in parallel: configured ports are replaced by free ones.
        return replace(
            config,
            listen=replace(config.listen, host="127.0.0.1", port=port),
            metrics=replace(config.metrics, port=0),
            control=replace(config.control, port=None if config.control.port is None else 0),
        )

    def behaviour(self) -> Behaviour:
        """Return the behaviour. Raises ConfigError if a persona or variant is unknown."""
        check_ids("persona", self.persona, PERSONAS)
        check_ids("variant", self.variant, VARIANTS)
        return varied(Behaviour(), *self.variant, *self.persona)

    def check(self) -> None:
        """Raise ConfigError if the setup is invalid."""
        _ = self.read(), self.behaviour()

    def _found(self, file: Source) -> Path | None:
        path = None if isinstance(file, Mapping) else self.folder / file
        return path if path is not None and path.is_file() else None


def _ids(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
