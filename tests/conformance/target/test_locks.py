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
locks = Locks.for_run(sys.argv[1])
with locks.alone(began=True) if sys.argv[2:] == ["alone"] else locks.shared(sys.argv[2:]):
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
        ([], [], True),
        ([], ["alone"], False),
        (["alone"], [], False),
        (["few/1", "b"], ["a", "few/1"], False),
        (["few/1"], ["b"], True),
        (["few/1"], [], True),
    ],
)
def test_which_locks_two_processes_hold_together(first: list[str], second: list[str], together: bool, run: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OTHER, run, *second], stdout=subprocess.PIPE, bufsize=0) as other:
        assert other.stdout is not None
        locks = Locks.for_run(run)
        with locks.alone(began=True) if first == ["alone"] else locks.shared(first):
            assert other.stdout.readline() == b"ready\n"
            assert bool(select.select([other.stdout], [], [], 20.0 if together else 0.3)[0]) is together
        assert other.stdout.readline() == b"held\n"


def test_the_files_are_readable_by_their_owner_only(run: str, tmp_path: Path) -> None:
    single = Locks(None)  # a single process needs no locks
    with single.alone(began=False), single.alone(began=True), single.shared(["a"]), single.shared(["a"]):
        pass
    with Locks.for_run(run).alone(began=True), Locks.for_run(f"{run}-2").shared(["a"]):
        for folder in tmp_path.iterdir():
            assert folder.stat().st_mode & 0o077 == 0
            assert run not in folder.name
