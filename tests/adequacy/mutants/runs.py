"""One run of the suite against one mutant: the mutated relay is a process of its own, the suite another.

Only the relay imports the mutated module: its packages come from a folder of links in which that one file is another.
"""

from __future__ import annotations

import tempfile
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

from cbspec.requirements import REQUIREMENTS, Level
from tests.adequacy.mutants.mutations import Mutant
from tests.adequacy.mutants.verdicts import Verdict
from tests.adequacy.suites import SUITE, NoResults, relay, results

PATIENCE: Final = 240.0
"""Seconds after which a run counts as hanging; a whole one takes 7, on a machine that does nothing else."""

# What is only observed never kills.
_JUDGED: Final = ",".join(
    id_ for id_, row in REQUIREMENTS.items() if row.level is not Level.INFO and not row.untestable
)
_TRANSPORT: Final = "tcp"  # that of most cases wherever it works: the relay speaks WebSocket besides
_PACKAGES: Final = ("cbspec", "simulator", "schemas")


def run(context: ForkServerContext, root: Path, mutant: Mutant) -> Verdict:
    """Judge one mutant."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cbspec-mutant-") as name:
        folder = Path(name)
        plant(root, mutant, folder / "source")
        by = _judged(context, folder)
    return Verdict(mutant.id, bool(by), by, round(time.monotonic() - began, 1))


def plant(root: Path, mutant: Mutant, folder: Path) -> None:
    """Make a folder in which the relay's packages are as they are in `root`, but for the mutant's module."""
    for package in _PACKAGES:
        (folder / package).mkdir(parents=True)
        for entry in (root / package).iterdir():
            (folder / package / entry.name).symlink_to(entry)
    mutated = folder / mutant.file
    mutated.unlink()
    mutated.write_text(mutant.source, encoding="utf-8")


def _judged(context: ForkServerContext, folder: Path) -> str:
    """Return what the suite noticed first, or "" where it noticed nothing."""
    # No bytecode: what is linked is shared with everybody.
    source = {"PYTHONPATH": str(folder / "source"), "PYTHONDONTWRITEBYTECODE": "1"}
    judged = ("--only", _JUDGED, "--effort", "quick", "--fail-on", "should", "--require-all", "-x", str(SUITE))
    try:
        with relay(folder, **source) as profile:
            found = results(context, folder, PATIENCE, "--target-profile", str(profile), *judged)
    except NoResults as reason:
        return str(reason)
    if found["transport"] != _TRANSPORT:
        return f"{_TRANSPORT} isn't spoken"
    return "" if found["green"] and not _warned(found) else _noticed(found)


def _warned(found: dict[str, Any]) -> bool:
    return any(verdict["outcome"] == "warned" for verdict in found["requirements"].values())


def _noticed(found: dict[str, Any]) -> str:
    for outcome in ("failed", "warned", "inconclusive"):
        ids = [id_ for id_, verdict in found["requirements"].items() if verdict["outcome"] == outcome]
        if ids:
            return f"{outcome} {' '.join(ids[:3])}"
    return "not exercised"
