"""Freezes the set of requirements of the catalogue's revision: `python -m tests.repo.freeze`, or `make freeze`."""

from __future__ import annotations

import sys

from cbspec.catalogue.requirements import REQUIREMENTS, REVISION, SET, frozen, frozen_lines
from tests.repo.tree import ROOT, name

_HEAD = "# Frozen: one requirement a line, with its level and the digest of its demand (`make freeze`).\n"


def lost() -> list[str]:
    """Return the ids that are frozen and not in the catalogue any more."""
    try:
        lines = frozen(REVISION).splitlines()
    except FileNotFoundError:
        return []
    return [line.split()[0] for line in lines if line.split()[0] not in REQUIREMENTS]


def main() -> int:
    """Write the set, unless an id would be lost: ids are permanent."""
    if gone := lost():
        print(f"not frozen: {', '.join(gone)} would be lost; ids are permanent, so put the rows back", file=sys.stderr)
        return 1
    path = ROOT / "cbspec" / "cbspec" / "catalogue" / "frozen" / f"{REVISION}.txt"
    path.write_text(_HEAD + frozen_lines(REQUIREMENTS), encoding="utf-8")
    print(f"{name(path)}: {len(REQUIREMENTS)} requirements, {SET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
