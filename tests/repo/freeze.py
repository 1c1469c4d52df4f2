"""Freezes the present revision of the catalogue: `python -m tests.repo.freeze`, or `make freeze`."""

from __future__ import annotations

import re
import sys

from cbspec.catalogue.requirements import CATALOGUE
from cbspec.catalogue.revisions import PRESENT, frozen, frozen_lines, revisions
from tests.repo.tree import ROOT, text

_HEAD = "# Frozen: one requirement a line, with its level and the digest of its demand (`make freeze`).\n"
_NEXT = "raise `revision` at the head of requirements.toml, and add its section to CHANGELOG.md"


def main() -> int:
    """Write the revision, unless it was released, or an id would be lost: ids are permanent."""
    path = ROOT / "cbspec" / "cbspec" / "catalogue" / "frozen" / f"{CATALOGUE}.txt"
    lost = {id_ for name in revisions() for id_ in frozen(name)} - set(PRESENT.requirements)
    content = _HEAD + frozen_lines(PRESENT.requirements)
    if lost:
        reason = f"{', '.join(sorted(lost))} would be lost; ids are permanent, so put the rows back"
    elif path.exists() and text(path) != content and is_released(CATALOGUE, text(ROOT / "CHANGELOG.md")):
        reason = f"{CATALOGUE} was released, so pipelines may be pinned to it; {_NEXT}"
    else:
        path.write_text(content, encoding="utf-8")
        print(f"{path.name}: {len(PRESENT.requirements)} requirements")
        return 0
    print(f"not frozen: {reason}", file=sys.stderr)
    return 1


def is_released(revision: str, changelog: str) -> bool:
    """Whether the changelog describes a revision of the catalogue under a version of the kit."""
    version = ""
    for line in changelog.splitlines():
        version = line.removeprefix("## ") if line.startswith("## ") else version
        if line == f"### Catalogue {revision}":
            return version != "Unreleased"
    return False


def section(revision: str, changelog: str) -> str:
    """Return the changelog's section on a revision of the catalogue, or ""."""
    match = re.search(rf"^### Catalogue {re.escape(revision)}\n(.*?)(?=^##|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


if __name__ == "__main__":
    sys.exit(main())
