"""Failures that are kept: those of one target, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbspec_conformance.properties.kept import Kept, kept_for


def test_what_was_kept_is_found_by_the_next_run(tmp_path: Path) -> None:
    Kept(tmp_path).save(b"case", b"example")
    assert list(Kept(tmp_path).fetch(b"case")) == [b"example"]
    assert list(Kept(tmp_path).fetch(b"another")) == []
    Kept(tmp_path).delete(b"case", b"example")
    assert list(Kept(tmp_path).fetch(b"case")) == []


def test_nothing_is_dropped_while_frozen(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.save(b"case", b"example")
    kept.frozen = True
    kept.delete(b"case", b"example")
    assert list(kept.fetch(b"case")) == [b"example"]


def test_what_passed_is_not_kept(tmp_path: Path) -> None:
    Kept(tmp_path).save(b"case.pareto", b"example")
    assert list(tmp_path.iterdir()) == []
    assert list(Kept(tmp_path).fetch(b"case.pareto")) == []


def test_a_folder_that_can_t_be_written_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    kept = Kept(file / "folder")
    kept.save(b"case", b"example")
    kept.delete(b"case", b"example")
    assert list(kept.fetch(b"case")) == []


def test_each_target_has_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = kept_for("127.0.0.1:1"), kept_for("127.0.0.1:2")
    assert one.folder != other.folder
    assert one.folder.is_relative_to(tmp_path)
