"""One table of exit codes for all commands."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cbspec.cli import COMMANDS, main
from cbspec.exit_codes import MEANINGS, ExitCode
from tests.conformance.commands import run, verify
from tests.repo.tree import ROOT, text

CONFORMANCE = str(ROOT / "conformance")
NOBODY = "127.0.0.1:1"


def test_the_readme_has_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text(ROOT / "README.md"), re.MULTILINE)
    assert {ExitCode(int(code)): meaning for code, meaning in rows} == dict(MEANINGS)
    assert list(MEANINGS) == list(ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_typo_is_wrong_use_in_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--no-such-option"]) == ExitCode.WRONG_USE
    assert capsys.readouterr().err.startswith(f"cbspec {command}: ")


@pytest.mark.parametrize(
    "arguments", [["--no-such-option"], ["--only", "CB-TUN-0005"], ["--target", "here"], ["x/y.py"]]
)
def test_a_typo_is_wrong_use_in_the_suite(arguments: list[str], tmp_path: Path) -> None:
    assert verify(*arguments, folder=tmp_path).code == ExitCode.WRONG_USE
    if "--only" in arguments:
        assert run("-m", "pytest", CONFORMANCE, *arguments, folder=tmp_path).code == ExitCode.WRONG_USE


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", NOBODY),
        ("connect", NOBODY),
        ("fault", "--url", f"http://{NOBODY}", "list"),
    ],
    ids=" ".join,
)
def test_nothing_to_judge_has_one_number(arguments: tuple[str, ...]) -> None:
    done = run("-m", "cbspec", *arguments)
    assert done.code == ExitCode.NOTHING_TO_JUDGE, done.text


@pytest.mark.parametrize(
    "arguments", [("profile", "check", "absent.toml"), ("judge", "absent"), ("replay", "absent")], ids=" ".join
)
def test_an_absent_file_is_wrong_use(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == ExitCode.WRONG_USE
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["verify", "connect"])
def test_an_interruption_while_the_relay_is_silent_has_the_same_number(command: str, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [sys.executable, "-m", "cbspec", command, f"127.0.0.1:{silent.getsockname()[1]}"]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with process, silent.accept()[0]:
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "Traceback" not in output
