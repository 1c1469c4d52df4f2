"""Every variation by its id, and how variations are applied to a behaviour and a configuration.

`catalogue.toml` describes each variation; the modules of `changes` make the changes.
"""

from __future__ import annotations

import pkgutil
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from cbspec.profile.target import Transport
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, ConfigError
from cbspec_simulator.variations import changes
from cbspec_simulator.variations.changes.tls import ONE_SUITE
from cbspec_simulator.variations.parts import Change, both
from cbspec_simulator.variations.rows import change

_CATALOGUE = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
_TRANSPORTS: Mapping[str, Transport] = {id_: name for name, ids in _CATALOGUE["transports"].items() for id_ in ids}


def _unarranged(config: Config) -> Config:
    return config


@dataclass(frozen=True, slots=True)
class Variation:
    """A named way in which a relay differs from the clean one: a deviation, a variant or an open point.

    `requirement` is broken by a deviation, or shows an open point; a variant has none. `change` makes the
    behaviour and `arrange` the configuration. `transport` is the only one on which the variation shows, if there is
    one. `openssl` is a configuration file that OpenSSL must read at the start of the process.
    """

    id: str
    requirement: str
    sentence: str
    change: Change
    arrange: Callable[[Config], Config] = _unarranged
    transport: Transport | None = None
    openssl: Path | None = None


def _found(name: str) -> dict[str, Any]:
    """Return the entries of all modules in their dictionaries of one name, by id of the variation."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(changes.__path__, f"{changes.__name__}."):
        found |= getattr(import_module(module.name), name, {})
    return found


_CHANGES = {**_found("CHANGES"), **{id_: change(row) for id_, row in _CATALOGUE["changes"].items()}}
_ARRANGED = _found("ARRANGED")


def _read(sentences: Mapping[str, Mapping[str, str]]) -> dict[str, Variation]:
    """Return variations by their ids; `sentences` are by requirement and id."""
    return {
        id_: Variation(
            id_,
            requirement,
            sentence,
            _CHANGES.get(id_, both()),
            _ARRANGED.get(id_, _unarranged),
            _TRANSPORTS.get(id_),
            ONE_SUITE if id_ == "one-cipher-suite" else None,
        )
        for requirement, those in sentences.items()
        for id_, sentence in those.items()
    }


DEVIATIONS = _read(_CATALOGUE["deviations"])
"""Each breaks one requirement, and nothing else if that is possible."""

RARE = _read(_CATALOGUE["rare"])
"""Deviations that show too rarely for a default run of the suite: `make rare` judges them."""

PERSONAS = {**DEVIATIONS, **RARE}
"""Every deviation that a relay can be started with."""

AFTER = tuple(id_ for id_, (function, *_) in _CATALOGUE["changes"].items() if function == "after")
"""The deviations that show only after certain earlier messages."""

VARIANTS = _read({"": _CATALOGUE["variants"]})
"""Each conforms, and uses a freedom of the specification."""

OPEN_POINTS = _read(_CATALOGUE["open-points"])
"""Each conforms, and decides a question that the specification leaves open."""

_ALL = {**PERSONAS, **VARIANTS, **OPEN_POINTS}
if unknown := {*_CHANGES, *_ARRANGED} - set(_ALL):
    raise LookupError(f"catalogue.toml lacks {', '.join(unknown)}")


def check_ids(kind: str, ids: Iterable[str], known: Mapping[str, object], *, option: bool = False) -> None:
    """Raise ConfigError for an id that isn't known; `option`: it was given by an option of `cbspec simulate`."""
    dashes, command = ("--", "") if option else ("", "cbspec simulate ")
    for id_ in ids:
        if id_ not in known:
            near = get_close_matches(id_, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"{command}--list-{kind}s lists them"
            raise ConfigError(f"{dashes}{kind} {id_}: no such {kind.replace('-', ' ')}; {hint}")


def varied(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with variations applied in their order. Raises KeyError for an unknown id."""
    return both(*(_ALL[id_].change for id_ in ids))(behaviour)


def arranged(config: Config, *ids: str) -> Config:
    """Return the configuration that variations need. Raises KeyError for an unknown id."""
    for id_ in ids:
        config = _ALL[id_].arrange(config)
    return config
