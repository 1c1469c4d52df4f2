"""`make docs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repo import generate
from tests.repo.documents import DOCUMENTS


def test_it_writes_changed_documents_and_deletes_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "name", lambda path: path.name)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.md").write_text("old")
    generate.main()
    assert {path.name for path in (tmp_path / "docs").iterdir()} == set(DOCUMENTS)
    assert capsys.readouterr().out.startswith("old.md: deleted\n")
    generate.main()
    assert capsys.readouterr().out == ""
