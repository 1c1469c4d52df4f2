"""The example of a client that is tested with the plugin: a project of its own, whose tests pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repo.tree import ROOT

EXAMPLE = ROOT / "examples" / "tunnel_keeper"
PLAIN = ("-p", "no:asyncio", "-p", "no:anyio")
RUNS = {
    "blocking": ("tests/test_blocking.py", *PLAIN),
    "pytest-asyncio": ("tests/test_asyncio.py", "-p", "no:anyio"),
    "anyio": ("tests/test_anyio.py", "-p", "no:asyncio"),
    "all, by workers": ("-n", "2"),
}


def run(folder: Path, *options: str, wrong: tuple[str, str] = ("", "")) -> tuple[int, str]:
    """Run the tests of a copy whose client sends `wrong`, if given; return exit code and output."""
    copy = folder / "tunnel_keeper"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    client = copy / "tunnel_keeper.py"
    client.write_text(client.read_text().replace(*wrong))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    environment = {**os.environ, "CBSPEC_STATE_DIR": str(folder / "identity")}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=110)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_its_tests_pass(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, said = run(tmp_path, *options)
    assert code == 0, said
    assert re.search(r"\d+ passed", said)
    assert "skipped" not in said


def test_a_mistake_in_the_client_is_shown_with_the_transcript(tmp_path: Path) -> None:
    wrong = ('"auth_response", type="auth"', '"auth_response", type="login"')
    code, said = run(tmp_path, *PLAIN, "-k", "opened_and_kept", wrong=wrong)
    assert code == 1
    assert "transcript of relay" in said
    assert '-> {"type": "login", "token": "<token>"}' in said
    assert '<- {"type":"error","code":"unknown_message_type"' in said


def test_it_depends_on_the_kit_and_pytest_alone_and_for_its_tests_only() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    assert project.get("dependencies", []) == []
    assert project["optional-dependencies"] == {"test": ["cbspec", "pytest"]}
    assert "simulator" not in (EXAMPLE / "tunnel_keeper.py").read_text()
