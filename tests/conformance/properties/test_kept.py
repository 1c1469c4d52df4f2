"""Failing examples kept in files."""

from __future__ import annotations

from pathlib import Path

from cbspec_conformance.properties.kept import Kept


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
