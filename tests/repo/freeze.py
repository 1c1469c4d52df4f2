"""Freezes the sets of requirements of the catalogue's revision: `python -m tests.repo.freeze`, or `make freeze`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from cbspec.catalogue.requirements import CLIENT_REQUIREMENTS, REQUIREMENTS, REVISION, Requirement, frozen_lines
from tests.repo.tree import ROOT

_HEAD = "# Frozen: one requirement a line, with its level and the digest of its demand (`make freeze`).\n"


def main() -> int:
    """Write the sets, unless an id would be lost: ids are permanent."""
    return max(_freeze(REVISION, REQUIREMENTS), _freeze(f"{REVISION}-clients", CLIENT_REQUIREMENTS))


def _freeze(name: str, requirements: Mapping[str, Requirement]) -> int:
    path = ROOT / "cbspec" / "cbspec" / "catalogue" / "frozen" / f"{name}.txt"
    before = re.findall(r"^C[BC]-\S+", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else []
    if lost := [id_ for id_ in before if id_ not in requirements]:
        print(f"not frozen: {', '.join(lost)} would be lost; ids are permanent, so put the rows back", file=sys.stderr)
        return 1
    path.write_text(_HEAD + frozen_lines(requirements), encoding="utf-8")
    print(f"{path.name}: {len(requirements)} requirements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
