"""Freezes the set of requirements of the catalogue's revision: `python -m tests.repo.freeze`, or `make freeze`."""

from __future__ import annotations

import re
import sys

from cbspec.catalogue.requirements import REQUIREMENTS, REVISION, SET, frozen_lines
from tests.repo.tree import ROOT

_HEAD = "# Frozen: one requirement a line, with its level and the digest of its demand (`make freeze`).\n"


def main() -> int:
    """Write the set, unless an id would be lost: ids are permanent."""
    path = ROOT / "cbspec" / "cbspec" / "catalogue" / "frozen" / f"{REVISION}.txt"
    before = re.findall(r"^CB-\S+", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else []
    if lost := [id_ for id_ in before if id_ not in REQUIREMENTS]:
        print(f"not frozen: {', '.join(lost)} would be lost; ids are permanent, so put the rows back", file=sys.stderr)
        return 1
    path.write_text(_HEAD + frozen_lines(REQUIREMENTS), encoding="utf-8")
    print(f"{path.name}: {len(REQUIREMENTS)} requirements, {SET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
