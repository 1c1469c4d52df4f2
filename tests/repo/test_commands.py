"""Every command of the documents runs: each document is a session of a shell in a network of its own.

A block of code whose first line is a comment with a file's name is that file. A comment `# exit code 1` after a command
is its expected exit code. The commands print the lines of each block of text.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.tree import PACKAGES, ROOT, name, text, tracked
from tests.support.processes import program

DOCUMENTS = [path for path in tracked() if path.suffix == ".md" and re.search(r"^```(sh|console)$", text(path), re.M)]

NOT_RUN = {
    r"make (verify|test)\b": "CI runs it",
    r"(python3 -m venv|\. \.venv/bin/activate|pip install)\b": "the tests run in such an environment",
    r"(git clone|cd cbspec)\b": "the session begins in a checkout",
    r"docker ": "needs a daemon",
    r".* \./my-": "the reader's own program",
    r".*\b(relay\.example|192\.0\.2\.1)\b": "another host",
    r"cbspec load .* --web\b": "ends with Ctrl-C",
}
"""Patterns of commands that aren't run, and the reason."""

FEW = "hello_is_answered or valid_token_is or forged_tokens or valid_tunnel_is or invalid_member"
"""The cases of a run: those of the requirements without which no run is green, and of the documents' deviations."""

STALE = (" --baseline known.toml    # exit code 1: the entry is out", " --only CB-AUT-005")
"""The end of a run that finds an entry of a baseline stale, and the option for all cases that can show it."""

NETWORK = ("unshare", "--user", "--map-root-user", "--net")
SESSION = Path(__file__).with_name("session.sh")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script(document: str) -> str:
    """Return the session of a document."""
    lines = [text(SESSION), "cbspec simulate --control --profile-out profile.toml"]
    for language, block in FENCE.findall(document):
        if language in ("sh", "console"):
            lines += ["cd $CHECKOUT", *map(_step, block.splitlines()), "settle"]
    return "\n".join(lines) + "\n"


def _step(line: str) -> str:
    line = line.removeprefix("$ ").replace(STALE[0], STALE[1] + STALE[0])
    if any(re.match(pattern, line) for pattern in NOT_RUN):
        return f"# {line}"
    code = re.search(r" # exit code (\d+)", line)
    return f"expect {code[1]} {line}" if code else line


@pytest.fixture(scope="module")
def network() -> tuple[str, ...]:
    """Return the beginning of a command that gives another one a network of its own."""
    done = subprocess.run([*NETWORK, "true"], capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"this system allows no network of our own: {done.stderr}")
    return NETWORK


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_the_commands_of_a_document_run(path: Path, tmp_path: Path, network: tuple[str, ...]) -> None:
    program("curl", "curl")
    for needed, package in (("go", "golang-go"), ("node", "nodejs")):
        if f"examples/{needed}" in script(text(path)):
            program(needed, package, optional=True)
    checkout = tmp_path / "cbspec"
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(".*", "node_modules", "build", "dist"))
    for _, block in FENCE.findall(text(path)):
        if file_name := re.match(r"# ([\w.-]+\.\w+)\n", block):
            (checkout / file_name[1]).write_text(block)
    environment = {
        **os.environ,
        "CHECKOUT": str(checkout),
        "PYTHONPATH": os.pathsep.join(str((checkout / folder).parent) for folder in PACKAGES.values()),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "CBSPEC_STATE_DIR": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path),
        "SELECTION": FEW,
        "RELAY_SECRET": "a-secret-of-at-least-thirty-two-characters",
    }
    command = [*network, "bash", "-c", script(text(path))]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as session:
        try:
            output, errors = session.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):  # a document may leave servers behind
                os.killpg(session.pid, signal.SIGKILL)
    assert session.returncode == 0, (output + errors)[-4000:]
    shown = [line for language, block in FENCE.findall(text(path)) if language == "text" for line in block.splitlines()]
    assert [line for line in shown if line not in output.splitlines()] == []


def test_every_exception_is_needed() -> None:
    steps = [line for path in DOCUMENTS for _, block in FENCE.findall(text(path)) for line in block.splitlines()]
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, step) for step in steps)] == []
    assert len([step for step in steps if STALE[0] in step]) == 1
