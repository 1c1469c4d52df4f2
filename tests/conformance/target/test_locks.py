"""Locks between processes."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cbspec_conformance.target.locks import Locks

# Holds a lock of the run named in the first argument until standard input ends, and prints when it has it.
HOLDER = """
import sys
from cbspec_conformance.target.locks import Locks
with getattr(Locks.for_run(sys.argv[1]), sys.argv[2])():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(run: str, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run another process that acquires a lock and releases it at the end of its input."""
    command = [sys.executable, "-c", HOLDER, run, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.communicate(timeout=30)


def held(process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process has its lock."""
    assert process.stdout is not None
    return process.stdout.readline() == b"held\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a run whose lock files are in the folder of the test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return uuid.uuid4().hex


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("shared", "shared", True),
        ("shared", "alone", False),
        ("alone", "shared", False),
        ("alone", "alone", False),
        ("limits", "limits", False),
        ("limits", "shared", True),
    ],
)
def test_locks_that_two_processes_hold_together(first: str, second: str, together: bool, run: str) -> None:
    with another(run, first) as one:
        assert held(one)
        with another(run, second) as other:
            assert other.stdout is not None
            if together:
                assert held(other)
            assert one.stdin is not None
            one.stdin.close()
            one.stdin = None
            assert one.wait(30) == 0
            assert together or held(other)


def test_waiting_process_gets_the_lock(run: str) -> None:
    with ExitStack() as stack:
        with Locks.for_run(run).alone():
            other = stack.enter_context(another(run, "shared"))
            assert other.stdout is not None
            assert select.select([other.stdout], [], [], 1.0)[0] == []
        assert held(other)


def test_single_process_creates_no_lock_file(tmp_path: Path) -> None:
    locks = Locks(None)
    with locks.alone(), locks.alone(), locks.shared(), locks.limits(), locks.limits():
        pass
    assert list(tmp_path.iterdir()) == []


def test_different_runs_are_independent(run: str) -> None:
    with another(run, "alone") as one, another(f"{run}-2", "alone") as other:
        assert held(one)
        assert held(other)


def test_lock_files_are_private(run: str, tmp_path: Path) -> None:
    Locks.for_run(run)
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert run not in folder.name
