"""One run of the suite against one mutant: the mutated relay is a process of its own, the suite another.

Only the relay imports the mutated module: its packages come from a folder of links in which that one file is another.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

from cbspec.cli import main as cbspec
from cbspec.requirements import REQUIREMENTS, Level
from tests.adequacy.mutants.mutations import Mutant
from tests.adequacy.mutants.verdicts import Verdict

PATIENCE: Final = 600.0
"""Seconds after which a run counts as hanging; a whole one takes 20, on a machine that does nothing else."""

# What is only observed never kills.
_JUDGED: Final = ",".join(
    id_ for id_, row in REQUIREMENTS.items() if row.level is not Level.INFO and not row.untestable
)
_PACKAGES: Final = ("cbspec", "simulator", "schemas")


def fork_server() -> ForkServerContext:
    """Return the means to start suites quickly."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conformance.plugin", "conformance.relay", __name__])
    return context


def run(context: ForkServerContext, root: Path, mutant: Mutant) -> Verdict:
    """Judge one mutant."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cbspec-mutant-") as name:
        folder = Path(name)
        plant(root, mutant, folder / "source")
        with _simulator(folder) as started:
            by = _judged(context, folder) if started else "the relay doesn't start"
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


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[bool]:
    command = [sys.executable, "-P", "-m", "cbspec", "simulate", "--port", "0", "--json"]
    # No bytecode: what is linked is shared with everybody.
    environment = {**os.environ, "PYTHONPATH": str(folder / "source"), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*command, "--profile-out", str(folder / "profile.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=folder,
    ) as process:
        try:
            yield bool(process.stdout and process.stdout.readline())
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _judged(context: ForkServerContext, folder: Path) -> str:
    """Return what the suite noticed first, or "" where it noticed nothing."""
    process = context.Process(target=_suite, args=(str(folder),))
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return "the run doesn't end"
    results = folder / "results.json"
    if process.exitcode == 0:
        return ""
    if not results.exists():
        return "there is no relay to judge"
    return _noticed(json.loads(results.read_text(encoding="utf-8")))


def _noticed(results: dict[str, Any]) -> str:
    for outcome in ("failed", "warned", "inconclusive"):
        found = [id_ for id_, verdict in results["requirements"].items() if verdict["outcome"] == outcome]
        if found:
            return f"{outcome} {' '.join(found[:3])}"
    return "not exercised"


def _suite(folder: str) -> None:
    output = os.open(os.path.join(folder, "suite.log"), os.O_CREAT | os.O_WRONLY, 0o600)  # noqa: PTH118
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["XDG_CACHE_HOME"] = folder  # what failed on another mutant says nothing of this one
    profile, results = f"{folder}/profile.toml", f"{folder}/results.json"
    options = ["--target-profile", profile, "--results", results, "--only", _JUDGED]
    sys.exit(cbspec(["verify", *options, "--examples", "5", "--fail-on", "should", "-x", "-p", "no:randomly"]))
