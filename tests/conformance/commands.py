"""The command line as users run it: suite and simulator as processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import served

PATIENCE = 100.0  # seconds that one run may take


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    text: str


def verify(*arguments: str, folder: Path | None = None, patience: float | None = PATIENCE, **environment: str) -> Done:
    """Run `cbspec verify` in `folder`, or outside of any checkout."""
    return run("-m", "cbspec", "verify", *arguments, folder=folder, patience=patience, **environment)


def run(*arguments: str, folder: Path | None = None, patience: float | None = PATIENCE, **environment: str) -> Done:
    """Run Python with some arguments."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder or "/",
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        timeout=patience,
        check=False,
    )
    text = (done.stdout + done.stderr).decode()
    assert "ResourceWarning" not in text, text  # an unclosed socket of the kit
    return Done(done.returncode, text)


@contextlib.contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[Path]:
    """Start a simulator; give the profile that it wrote."""
    with served(folder, *arguments) as relay:
        yield relay.profile_file


def verdict(text: str, column: str) -> int:
    """Return the number of requirements with a verdict: from the report's last line, or its table."""
    if column == "observed":
        return int(re.findall(r"^  all .* (\d+)$", text, re.MULTILINE)[0])
    (counts,) = re.findall(r"^.*\d+ passed, \d+ failed, \d+ warned.*$", text, re.MULTILINE)
    return int(re.findall(rf"(\d+) {column}", counts)[0])
