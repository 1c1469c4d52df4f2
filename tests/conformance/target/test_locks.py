"""Locks between processes: which cases run at the same time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cbspec_conformance.target.locks import Locks

# Holds a lock of the run named in the first argument until standard input ends.
HOLDER = """
import sys
from cbspec_conformance.target.locks import Locks
with getattr(Locks.for_run(sys.argv[1]), sys.argv[2])():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(run: str, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start another process that takes a lock of the run."""
    command = [sys.executable, "-c", HOLDER, run, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.communicate(timeout=30)


def held(process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process holds its lock."""
    assert process.stdout is not None
    return process.stdout.readline() == b"held\n"


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
        ("limits", "limits", False),
        ("limits", "shared", True),
    ],
)
def test_which_locks_two_processes_hold_together(first: str, second: str, together: bool, run: str) -> None:
    with another(run, first) as one:
        assert held(one)
        with another(run, second) as other:
            if together:
                assert held(other)
            assert one.stdin is not None
            one.stdin.close()
            one.stdin = None
            assert one.wait(30) == 0
            assert together or held(other)


def test_the_files_are_readable_by_their_owner_only(run: str, tmp_path: Path) -> None:
    single = Locks(None)  # a single process needs no locks
    with single.alone(), single.alone(), single.shared(), single.limits(), single.limits():
        pass
    with Locks.for_run(run).alone(), Locks.for_run(f"{run}-2").alone():
        for folder in tmp_path.iterdir():
            assert folder.stat().st_mode & 0o077 == 0
            assert run not in folder.name
