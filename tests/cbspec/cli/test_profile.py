"""`cbspec profile`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec.profile.profile import Profile, load, template


def test_init_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "init"]) == 0
    assert capsys.readouterr() == (template(), "")


def test_init_overwrites_a_file_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    assert main(["profile", "init", str(path)]) == 0
    assert load(path) == Profile()
    path.write_text("mine")
    capsys.readouterr()
    assert main(["profile", "init", str(path)]) == 2
    assert capsys.readouterr() == ("", f"cbspec: {path} exists; --force overwrites it\n")
    assert path.read_text() == "mine"
    assert main(["profile", "init", "--force", str(path)]) == 0
    assert path.read_text() == template()


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    path.write_text(template())
    assert main(["profile", "check", str(path)]) == 0
    assert capsys.readouterr() == (f"{path}: valid\n", "")
    path.write_text("[relay]\nbufer_pool = 1\n[target]\ntimeout = 'x'")
    assert main(["profile", "check", str(path)]) == 1
    unknown, wrong = capsys.readouterr().out.splitlines()
    assert unknown == f"{path}: relay.bufer_pool: unknown key; did you mean buffer_pool?"
    assert wrong.startswith(f"{path}: target.timeout: must be a number")
