"""The revisions of the catalogue: the sets of requirements by which a run can judge.

`cbspec/catalogue/frozen/` has a file for each revision, with a line for every requirement: its id, its level, and a
digest of its demand and condition. A run that is pinned to a revision judges the requirements in it, by their levels in
it. Ids are permanent, so the present catalogue knows each of them. A row whose digest differs was reworded since:
another demand has an id of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from types import MappingProxyType
from typing import Final

import msgspec

from cbspec.catalogue.requirements import (
    CATALOGUE,
    CLIENT_REQUIREMENTS,
    REQUIREMENTS,
    SPECIFICATION,
    JudgedRole,
    Level,
    Requirement,
)
from cbspec.errors import InputError

FROZEN: Final = resources.files("cbspec.catalogue") / "frozen"
"""The folder of the frozen revisions."""

_NAME: Final = re.compile(r"(\d+)\.(\d+)-r(\d+)\.txt")
_EVERY: Final = {**REQUIREMENTS, **CLIENT_REQUIREMENTS}


class UnknownRevision(LookupError, InputError):
    """The catalogue has no such revision; the text lists those that it has."""


@dataclass(frozen=True, slots=True)
class CatalogueRevision:
    """A revision of the catalogue: its name, such as 2.0-r1, and its requirements by id."""

    name: str
    requirements: Mapping[str, Requirement]

    def of(self, role: JudgedRole) -> Mapping[str, Requirement]:
        """Return the requirements on relays or on clients."""
        return {id_: row for id_, row in self.requirements.items() if row.role is role}

    def digest(self, role: JudgedRole) -> str:
        """Return the digest of a set, which differs if an id, a level, a demand or a condition does."""
        return _digest(frozen_lines(self.of(role)))

    @property
    def specification(self) -> str:
        """The version of the specification."""
        return self.name.partition("-")[0]

    @property
    def is_present(self) -> bool:
        """Whether this is the newest revision."""
        return self.name == CATALOGUE

    def __str__(self) -> str:
        pinned = "" if self.is_present else f" (pinned; the newest is {CATALOGUE})"
        return f"catalogue {self.name}{pinned}, specification {self.specification}"


PRESENT: Final = CatalogueRevision(CATALOGUE, MappingProxyType(_EVERY))
"""The newest revision."""


def revisions() -> list[str]:
    """Return the names of all revisions, the oldest first."""
    found = [match for each in FROZEN.iterdir() if (match := _NAME.fullmatch(each.name))]
    return [match[0].removesuffix(".txt") for match in sorted(found, key=lambda match: tuple(map(int, match.groups())))]


def revision(name: str) -> CatalogueRevision:
    """Return a revision by its name. Raises UnknownRevision."""
    known = revisions()
    if name not in known:
        raise UnknownRevision(f"there is no revision {name!r} of the catalogue; there are {', '.join(known)}")
    if name == CATALOGUE:
        return PRESENT
    levels = {id_: Level(level) for id_, (level, _) in frozen(name).items()}
    rows = {id_: msgspec.structs.replace(_EVERY[id_], level=level) for id_, level in levels.items()}
    return CatalogueRevision(name, MappingProxyType(rows))


def frozen(name: str) -> dict[str, tuple[str, str]]:
    """Return the level and the digest of each requirement of a revision. Raises FileNotFoundError."""
    lines = (FROZEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {id_: (level, digest) for id_, level, digest in (line.split() for line in lines if line[:1] != "#")}


def frozen_lines(requirements: Mapping[str, Requirement]) -> str:
    """Return the lines of a frozen revision."""
    return "".join(f"{row.id} {row.level} {_digest(f'{row.demand}|{row.when}')}\n" for row in requirements.values())


def about_versions() -> str:
    """Return the versions that decide about verdicts, a line each."""
    counts = " and ".join(f"{len(PRESENT.of(role))} requirements on {role}s" for role in JudgedRole)
    return (
        f"cbspec {metadata.version('cbspec')}\ncatalogue {CATALOGUE}: {counts}\n"
        f"specification {SPECIFICATION}: CloudBridge Relay protocol"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
