"""Failing examples kept in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec_conformance.properties.kept import Kept, kept_for


def test_an_example_is_kept_until_it_is_deleted(tmp_path: Path) -> None:
    Kept(tmp_path).save(b"case", b"example")
    Kept(tmp_path).save(b"case.pareto", b"it passes")
    kept = Kept(tmp_path)
    assert [list(kept.fetch(key)) for key in (b"case", b"case.pareto")] == [[b"example"], []]
    for kept.frozen, left in ((True, [b"example"]), (False, [])):
        kept.delete(b"case", b"example")
        assert list(kept.fetch(b"case")) == left


def test_an_unwritable_folder_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    kept = Kept(file / "folder")
    kept.save(b"case", b"example")
    kept.delete(b"case", b"example")
    assert list(kept.fetch(b"case")) == []


def test_each_case_of_each_target_has_its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = {kept_for(target, case).folder for target in ("127.0.0.1:1", "127.0.0.1:2") for case in ("a", "b")}
    assert len(folders) == 4
    assert all(folder.is_relative_to(tmp_path) for folder in folders)
