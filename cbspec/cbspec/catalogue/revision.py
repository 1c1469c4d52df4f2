"""Which revision of the specification the catalogue reads, and the set of requirements that is frozen for it.

A verdict means something only together with the set that it was reached by. For each revision `cbspec/frozen/` holds a
line for every requirement: its id, its level, and a digest of what it demands and when. A test holds the catalogue
against it, and reports and fingerprints name revision and digest.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Final

from cbspec.catalogue.requirements import REQUIREMENTS, Requirement

REVISION: Final[str] = tomllib.loads(
    resources.files("cbspec.catalogue").joinpath("requirements.toml").read_text(encoding="utf-8")
)["revision"]
"""The revision of the specification that the catalogue reads."""

_HEAD: Final = "# Frozen: one requirement a line, with its level and the digest of what it demands (`make freeze`).\n"


def frozen_lines(requirements: Mapping[str, Requirement]) -> str:
    """Return a set of requirements in the form in which it is frozen."""
    return "".join(f"{row.id} {row.level} {_digest(f'{row.demand}|{row.when}')}\n" for row in requirements.values())


def frozen_text(requirements: Mapping[str, Requirement]) -> str:
    """Return the text of the file of a frozen set."""
    return _HEAD + frozen_lines(requirements)


def frozen(revision: str) -> str:
    """Return the set that is frozen for a revision, without its comment; FileNotFoundError where there is none."""
    text = resources.files("cbspec.catalogue").joinpath("frozen", f"{revision}.txt").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


SET: Final = _digest(frozen_lines(REQUIREMENTS))
"""The digest of the whole set: it differs where any requirement was added, changed or given another level."""
