"""The command line as people use it: the suite and the simulator as processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import served

PATIENCE = 100.0
"""Seconds that one run may take."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it printed."""

    code: int
    text: str


def verify(*arguments: str, folder: Path | None = None, **environment: str) -> Done:
    """Run `cbspec verify` in some folder, outside of any checkout unless one is named."""
    return run("-m", "cbspec", "verify", *arguments, folder=folder, **environment)


def run(*arguments: str, folder: Path | None = None, **environment: str) -> Done:
    """Run Python with some arguments."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder or "/",
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, (done.stdout + done.stderr).decode())


@contextlib.contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[Path]:
    """Start a simulator of its own; give the profile that it wrote."""
    with served(folder, *arguments) as relay:
        yield relay.profile_file


def verdict(text: str, column: str) -> int:
    """Return a number out of the last line of the report's table: how many requirements ended in some way."""
    columns = ("passed", "failed", "warned", "inconclusive", "not exercised", "observed")
    (line,) = (line for line in text.splitlines() if line.split()[:1] == ["all"])
    number = line.split()[1 + columns.index(column)]
    return 0 if number == "·" else int(number)
