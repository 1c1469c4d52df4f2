"""The requirement catalogue, read from requirements.toml."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Final

CHAPTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HEL": "Hello",
        "AUT": "Authentication",
        "TUN": "Tunnels",
        "HBT": "Heartbeat",
        "ERR": "Errors",
        "UNK": "Unknown message types",
        "LIM": "Tenant limits",
        "CON": "Connection limit",
        "BUF": "Buffer pool",
        "RAT": "Rate limit",
        "ADR": "Allowed addresses",
        "UNA": "Unavailable relay",
        "TRF": "Data transfer",
        "MSG": "Messages: JSON and UTF-8",
        "CMP": "No compression",
        "TLS": "TLS 1.3",
        "TEN": "Multi-tenancy",
        "MET": "Metrics",
        "WSK": "WebSocket",
        "ROB": "Robustness",
    }
)
"""The title of each chapter, by the three letters of its ids."""

_ID: Final = re.compile(r"CB-([A-Z]{3})-\d{3}")
_TEXTS: Final = ("role", "section", "demand", "why", "when", "untestable")
_REQUIRED: Final = ("level", "section", "demand", "why")


class Level(StrEnum):
    """The strength of a demand."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"


class CatalogueError(ValueError):
    """The catalogue is malformed; the text names the row."""


class UnknownRequirement(LookupError):
    """No requirement has that id; the text names the nearest ones."""

    def __init__(self, wanted: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(wanted.upper(), list(known), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "'cbspec explain' lists them all"
        super().__init__(f"unknown requirement {wanted!r}; {hint}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One demand on an implementation, in our own words.

    `when` is the condition under which it applies (empty: always). `needs` are the profile keys without which it can't
    be exercised. `untestable` is the reason why no case exists (empty: at least one does).
    """

    id: str
    level: Level
    section: str
    demand: str
    why: str
    role: str = "relay"
    when: str = ""
    needs: tuple[str, ...] = ()
    untestable: str = ""

    @property
    def chapter(self) -> str:
        """The three letters of the id, a key of `CHAPTERS`."""
        return self.id[3:6]


def parse(text: str) -> Mapping[str, Requirement]:
    """Return the requirements in a TOML text by id, in its order. Raises CatalogueError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"the requirement catalogue is not TOML: {error}") from None
    return MappingProxyType({id_: _row(id_, row) for id_, row in document.items() if id_ != "revision"})


def _row(id_: str, row: object) -> Requirement:
    match = _ID.fullmatch(id_)
    if match is None or match[1] not in CHAPTERS:
        raise CatalogueError(f"requirement {id_}: an id is CB-<chapter>-<three digits>, with a chapter of CHAPTERS")
    if not isinstance(row, dict):
        raise CatalogueError(f"requirement {id_}: must be a table")
    if missing := [key for key in _REQUIRED if not row.get(key)]:
        raise CatalogueError(f"requirement {id_}: lacks {', '.join(missing)}")
    if unknown := sorted(set(row) - {"level", "needs", *_TEXTS}):
        raise CatalogueError(f"requirement {id_}: unknown key {', '.join(unknown)}")
    texts = {key: row[key] for key in _TEXTS if key in row}
    needs = row.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(text, str) for text in [*texts.values(), *needs]):
        raise CatalogueError(f"requirement {id_}: texts must be strings, and needs an array of strings")
    if row["level"] not in list(Level):
        raise CatalogueError(f"requirement {id_}: level must be one of {', '.join(Level)}")
    return Requirement(id=id_, level=Level(row["level"]), needs=tuple(needs), **texts)


REQUIREMENTS: Final[Mapping[str, Requirement]] = parse(
    resources.files("cbspec.catalogue").joinpath("requirements.toml").read_text(encoding="utf-8")
)
"""Every requirement by its id."""


def find(id_: str) -> Requirement:
    """Return the requirement with an id in upper or lower case. Raises UnknownRequirement."""
    try:
        return REQUIREMENTS[id_.strip().upper()]
    except KeyError:
        raise UnknownRequirement(id_, REQUIREMENTS) from None
