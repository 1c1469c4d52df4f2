"""The revision of the specification, and the frozen set of requirements that belongs to it.

A verdict refers to a set of requirements. So for each revision, `cbspec/catalogue/frozen/` has a line for every
requirement: its id, its level, and a digest of its demand and condition. A test compares the catalogue with it, and
reports and fingerprints contain revision and digest.
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
"""The revision of the specification that the catalogue covers."""

_HEAD: Final = "# Frozen: one requirement a line, with its level and the digest of its demand (`make freeze`).\n"


def frozen_lines(requirements: Mapping[str, Requirement]) -> str:
    """Return the lines of a frozen set."""
    return "".join(f"{row.id} {row.level} {_digest(f'{row.demand}|{row.when}')}\n" for row in requirements.values())


def frozen_text(requirements: Mapping[str, Requirement]) -> str:
    """Return the text of the file of a frozen set."""
    return _HEAD + frozen_lines(requirements)


def frozen(revision: str) -> str:
    """Return the frozen lines of a revision. Raises FileNotFoundError."""
    text = resources.files("cbspec.catalogue").joinpath("frozen", f"{revision}.txt").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


SET: Final = _digest(frozen_lines(REQUIREMENTS))
"""The digest of the set, which changes with every id, level, demand and condition."""
