"""The command line: lazy imports, exit codes, and errors."""

from __future__ import annotations

import argparse
import errno
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from cbspec import __main__ as entry
from cbspec.catalogue.requirements import CATALOGUE, REQUIREMENTS, SPECIFICATION
from cbspec.cli import EXTRAS, main
from cbspec.errors import CommandError
from cbspec.profile.profile import ProfileError
from tests.repo.tree import ROOT

Run = Callable[[argparse.Namespace], int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Return a function that replaces the module of `cbspec verify`."""

    def put(run: Run) -> None:
        module = ModuleType("cbspec_conformance.runner.command")

        def configure(parser: argparse.ArgumentParser) -> None:
            parser.add_argument("arguments", nargs="*")

        vars(module).update(configure=configure, run=run)
        monkeypatch.setitem(sys.modules, "cbspec_conformance.runner.command", module)

    return put


def test_a_command_without_its_packages_prints_the_install_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cbspec.cli.find_spec", lambda name: None if name == "locust" else name)
    assert main(["load", "127.0.0.1:1"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("needs the package locust: run pip install 'cbspec[load]'")


def test_the_extras_install_the_packages_of_their_commands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    light = {re.split(r"[>=]", line)[0] for line in project["dependencies"]}
    extras = {name: " ".join(lines) for name, lines in project["optional-dependencies"].items()}
    for including in ("load", "learn"):
        extras[including] += f" {extras['verify']}"
    for extra, modules in EXTRAS.values():
        for package in (module.replace("_", "-") for module in modules):
            assert f"{package}>" in extras[extra].lower()
            assert package not in light


def test_an_unknown_command_is_reported_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verfy"]) == 4
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "cbspec: there is no command verfy; did you mean verify? (cbspec --help lists them)\n"


def test_a_bare_command_shows_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 4
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = [line.split("  ")[1].strip() for line in shown.err.splitlines() if line.startswith("  cbspec")]
    assert [line.split()[1] for line in lines] == ["verify", "verify", "verify-client", "simulate"]


def test_bash_completes_commands_options_and_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    function = "_shtab_cbspec"
    for words, found in (
        ("verify-c", "verify-client"),
        ("verify --chap", "--chapter"),
        ("verify-client --effort qu", "quick"),
        ("profile init --min", "--minimal"),
    ):
        count = len(words.split())
        lines = (
            f'source ./script; COMP_WORDS=(cbspec {words}); COMP_CWORD={count}; {function}; echo "${{COMPREPLY[@]}}"'
        )
        done = subprocess.run(["bash", "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [found], done.stderr


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from cbspec.cli import main; code = main(['--help']);"
        "sys.exit(code or any(name.startswith('cbspec_') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_module_and_the_script_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="cbspec")
    assert script.load() is entry.main
    assert main(["--version"]) == 0
    kit, catalogue, specification = capsys.readouterr().out.splitlines()
    assert kit == f"cbspec {metadata.version('cbspec')}"
    assert catalogue.startswith(f"catalogue {CATALOGUE}: {len(REQUIREMENTS)} requirements on relays")
    assert specification.startswith(f"specification {SPECIFICATION}: ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CommandError("no"), "cbspec: no\n"),
        (ProfileError(["a", "b"], "p.toml"), "cbspec: p.toml: a\ncbspec: p.toml: b\n"),
        (OSError(errno.EACCES, "Permission denied", "f"), "cbspec: f: Permission denied\n"),
        (OSError("odd"), "cbspec: odd\n"),
        (KeyboardInterrupt(), ""),
    ],
)
def test_expected_errors_are_printed_without_traceback(
    error: BaseException, text: str, command: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: argparse.Namespace) -> int:
        raise error

    command(run)
    assert main(["verify"]) == (4 if text else 130)
    assert capsys.readouterr() == ("", text)


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cbspec", "explain"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
