"""Locks between processes: which cases run at the same time."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

from cbspec_conformance.target.locks import Locks

# Takes a lock of the run named in the first argument.
OTHER = """
import sys
from cbspec_conformance.target.locks import Locks
print("ready", flush=True)
with getattr(Locks.for_run(sys.argv[1]), sys.argv[2])():
    print("held", flush=True)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a run whose lock files are in the test's folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return uuid.uuid4().hex


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("shared", "shared", True),
        ("shared", "alone", False),
        ("alone", "shared", False),
        ("limits", "limits", False),
        ("limits", "shared", True),
    ],
)
def test_which_locks_two_processes_hold_together(first: str, second: str, together: bool, run: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OTHER, run, second], stdout=subprocess.PIPE, bufsize=0) as other:
        assert other.stdout is not None
        with getattr(Locks.for_run(run), first)():
            assert other.stdout.readline() == b"ready\n"
            assert bool(select.select([other.stdout], [], [], 20.0 if together else 0.3)[0]) is together
        assert other.stdout.readline() == b"held\n"


def test_the_files_are_readable_by_their_owner_only(run: str, tmp_path: Path) -> None:
    single = Locks(None)  # a single process needs no locks
    with single.alone(), single.alone(), single.shared(), single.limits(), single.limits():
        pass
    with Locks.for_run(run).alone(), Locks.for_run(f"{run}-2").alone():
        for folder in tmp_path.iterdir():
            assert folder.stat().st_mode & 0o077 == 0
            assert run not in folder.name
