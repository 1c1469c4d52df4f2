"""What a local relay is told before it begins, and what becomes of it: a configuration and a behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from simulator.behaviour import Behaviour
from simulator.config import Config, ConfigError
from simulator.config_read import load_config
from simulator.deviations import KNOWN, deviated
from simulator.scenarios import scenario_file

Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setup:
    """A scenario, a configuration laid over it, faults beside its own, and personas (ids of deviations).

    Files are looked for in `folder` first.
    """

    scenario: str | Path | None = None
    config: Source | None = None
    faults: tuple[Mapping[str, Any], ...] = ()
    persona: tuple[str, ...] = ()
    folder: Path = Path()

    @classmethod
    def of(
        cls,
        scenario: str | Path | None = None,
        *,
        config: Source | None = None,
        faults: Iterable[Mapping[str, Any]] = (),
        persona: str | Iterable[str] = (),
        folder: Path | None = None,
    ) -> Setup:
        """Return the setup; a single persona may be given by its id."""
        personas = (persona,) if isinstance(persona, str) else tuple(persona)
        return cls(scenario, config, tuple(faults), personas, folder or Path())

    def read(self, port: int = 0) -> Config:
        """Return the configuration, for 127.0.0.1 and a port (0: a free one); raises ConfigError."""
        sources: list[Source] = []
        if self.scenario is not None:
            sources.append(self._found(self.scenario) or scenario_file(str(self.scenario)))
        if isinstance(self.config, Mapping):
            sources.append(self.config)
        elif self.config is not None:
            sources.append(self._found(self.config) or self.config)
        if self.faults:
            sources.append({"faults": list(self.faults)})
        config = load_config(*sources)
        # Tests run beside each other: every port is a free one, whatever a file says.
        return replace(
            config,
            listen=replace(config.listen, host="127.0.0.1", port=port),
            metrics=replace(config.metrics, port=0),
            control=replace(config.control, port=None if config.control.port is None else 0),
        )

    def behaviour(self) -> Behaviour:
        """Return how the relay behaves; raises ConfigError where a persona isn't known."""
        for id_ in self.persona:
            if id_ not in KNOWN:
                near = get_close_matches(id_, KNOWN, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else "cbspec simulate --list-deviations lists them"
                raise ConfigError(f"persona {id_}: no such persona; {hint}")
        return deviated(Behaviour(), *self.persona)

    def check(self) -> None:
        """Raise ConfigError where it can't be used."""
        _ = self.read(), self.behaviour()

    def _found(self, file: str | Path) -> Path | None:
        path = self.folder / file
        return path if path.is_file() else None
