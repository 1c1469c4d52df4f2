"""`make freeze`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, REVISION, frozen
from tests.repo import freeze


def test_it_writes_the_set_of_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cbspec" / "cbspec" / "catalogue" / "frozen"
    folder.mkdir(parents=True)
    monkeypatch.setattr(freeze, "ROOT", tmp_path)
    monkeypatch.setattr(freeze, "name", lambda path: path.name)
    assert freeze.main() == 0
    text = (folder / f"{REVISION}.txt").read_text()
    assert text.endswith(frozen(REVISION))
    assert f"{len(REQUIREMENTS)} requirements" in capsys.readouterr().out


def test_an_id_is_never_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(freeze, "frozen", lambda revision: "CB-HEL-099 MUST 0123456789abcdef\n")
    assert freeze.main() == 1
    assert "CB-HEL-099 would be lost" in capsys.readouterr().err


def test_a_new_revision_starts_without_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeze, "REVISION", "0.0")
    assert freeze.lost() == []
