"""The Makefile sets up an environment with any suitable Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
FAKE = "#!/bin/sh\nexit {}\n"  # `-c` tells whether the interpreter is suitable


def make(folder: Path, *arguments: str, suitable: tuple[str, ...]) -> tuple[int, str, str]:
    """Run make with fake interpreters; return exit code, standard output and standard error."""
    for name in PYTHONS:
        (folder / name).write_text(FAKE.format(int(name not in suitable)))
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}
    environment.pop("PYTHON", None)
    done = subprocess.run(
        ["make", "--silent", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("suitable", [PYTHONS, ("python3.13", "python3.11"), ("python3",)])
def test_the_newest_suitable_interpreter_is_used(tmp_path: Path, suitable: tuple[str, ...]) -> None:
    assert make(tmp_path, ".python", suitable=suitable) == (0, f"{suitable[0]}\n", "")


def test_without_a_suitable_interpreter_one_line_names_the_remedy(tmp_path: Path) -> None:
    code, output, errors = make(tmp_path, f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.ready", suitable=())
    message, *rest = errors.splitlines()
    assert (code, output, "python3-venv" in message) == (2, "", True)
    assert all(line.startswith("make") for line in rest)
