"""The command line as users run it: suite and simulator as processes, which are forked if nothing forbids it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import fork_server, forked, forked_relay

PATIENCE = 100.0  # seconds that one run may take
_AT_THE_START = {"PYTHONPATH", "OPENSSL_CONF"}  # variables that are read as the interpreter starts


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
    variables = {**os.environ, "COLUMNS": "200", **environment}
    if arguments[:2] == ("-m", "cbspec") and not environment.keys() & _AT_THE_START:
        with tempfile.TemporaryDirectory(prefix="cbspec-tests-") as name:
            outputs = Path(name)
            code = forked(arguments[2:], folder or Path("/"), variables, outputs, patience)
            output = (outputs / "out").read_bytes() + (outputs / "err").read_bytes()
    else:
        words = [sys.executable, *arguments]
        done = subprocess.run(
            words, cwd=folder or "/", env=variables, capture_output=True, timeout=patience, check=False
        )
        code, output = done.returncode, done.stdout + done.stderr
    text = output.decode()
    assert "ResourceWarning" not in text, text  # an unclosed socket of the kit
    return Done(code, text)


@contextlib.contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[Path]:
    """Start a simulator; give the profile that it wrote."""
    with forked_relay(fork_server(), folder, *arguments) as profile:
        yield profile


def verdict(text: str, column: str) -> int:
    """Return the number of requirements with a verdict: from the report's last line, or its table."""
    if column == "observed":
        return int(re.findall(r"^  all .* (\d+)$", text, re.MULTILINE)[0])
    (counts,) = re.findall(r"^.*\d+ passed, \d+ failed, \d+ warned.*$", text, re.MULTILINE)
    return int(re.findall(rf"(\d+) {column}", counts)[0])
