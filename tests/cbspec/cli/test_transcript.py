"""`cbspec transcript`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbspec.cli import main
from cbspec_simulator.observe.transcript import TranscriptEntry

ENTRIES = [
    TranscriptEntry(1, 100.0, 1, "tcp", "127.0.0.1", "", "", "connected", "tcp", ""),
    TranscriptEntry(2, 100.1, 2, "tcp", "127.0.0.1", "", "", "connected", "tcp", ""),
    TranscriptEntry(3, 100.2, 1, "tcp", "127.0.0.1", "a", "u", "request", "auth", '{"type":"auth","token":"<token>"}'),
    TranscriptEntry(4, 100.3, 2, "tcp", "127.0.0.1", "b", "u", "ended", "closed", ""),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a transcript file whose last line is incomplete."""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(entry.to_json()) + "\n" for entry in ENTRIES) + '{"number": 5')
    return path


@pytest.mark.parametrize(
    ("options", "lines"), [((), 4), (("--connection", "1"), 2), (("--tenant", "b"), 2), (("--tenant", "c"), 0)]
)
def test_entries_are_selected_by_connection_or_tenant(
    file: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], lines: int
) -> None:
    assert main(["transcript", str(file), *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == lines


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "t.jsonl: can't be read: No such file or directory"),
        (b"\xff\n", "t.jsonl: is not UTF-8, at byte 0"),
        (b"[]\n", "t.jsonl: line 1 is not an entry of a transcript"),
        (b"x\n", "t.jsonl: line 1 is not an entry of a transcript"),
    ],
)
def test_an_unusable_file_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes | None, text: str
) -> None:
    path = tmp_path / "t.jsonl"
    if data is not None:
        path.write_bytes(data)
    assert main(["transcript", str(path)]) == 2
    assert text in capsys.readouterr().err
