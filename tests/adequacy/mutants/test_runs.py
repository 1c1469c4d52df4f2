"""A mutant as a relay of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

pytest.importorskip("mutmut", reason="the extra `mutation` isn't installed")
from tests.adequacy.mutants.mutations import Mutant, mutants_of
from tests.adequacy.mutants.runs import plant, run
from tests.adequacy.suites import fork_server


def mutant(file: str, wanted: str) -> Mutant:
    """Return the mutant that ends in some way."""
    return next(found for found in mutants_of(ROOT, file) if found.id.endswith(wanted))


def test_only_a_process_that_is_told_to_imports_the_mutant(tmp_path: Path) -> None:
    plant(ROOT, mutant("simulator/limits.py", "-> _MANY_METERS = 4097"), tmp_path / "source")
    code = "from simulator import limits; from cbspec import framing; print(limits._MANY_METERS, framing.MAX_DEPTH)"
    seen = [
        subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()
        for path in (str(tmp_path / "source"), str(ROOT))
    ]
    assert seen == [["4097", "64"], ["4096", "64"]]


@pytest.mark.parametrize(
    ("file", "wanted", "by"),
    [
        ("simulator/limits.py", "-> if limit is not None or self._used[account] >= limit:", "failed"),
        (
            "simulator/steps.py",
            "Address: Address = IPv4Address | IPv6Address -> Address = IPv4Address & IPv6Address",
            "the relay",
        ),
    ],
)
def test_what_breaks_the_relay_is_noticed(file: str, wanted: str, by: str) -> None:
    verdict = run(fork_server(), ROOT, mutant(file, wanted))
    assert verdict.killed
    assert verdict.by.startswith(by)
