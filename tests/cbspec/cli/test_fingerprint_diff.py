"""`cbspec fingerprint-diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cbspec.cli import main

ROW = {
    "level": "INFO",
    "demand": "What a second hello draws.",
    "outcome": "observed",
    "seen": {"after hello": "accepted"},
}
PRINT: dict[str, Any] = {
    "fingerprint": 1,
    "kit": "0.1.0",
    "specification": "2.0",
    "requirements": "0123456789abcdef",
    "transport": "tcp",
    "websocket": True,
    "features": ["tls"],
    "rows": {"CB-HEL-101": ROW},
}


def files(folder: Path, after: dict[str, Any]) -> list[str]:
    found = []
    for name, content in (("a.json", PRINT), ("b.json", after)):
        (folder / name).write_text(json.dumps(content))
        found.append(str(folder / name))
    return found


def test_differences_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fingerprint-diff", *files(tmp_path, PRINT)]) == 0
    row = {**ROW, "seen": {"after hello": "closed"}}
    assert main(["fingerprint-diff", *files(tmp_path, {**PRINT, "kit": "0.2.0", "rows": {"CB-HEL-101": row}})]) == 1
    assert capsys.readouterr().out == (
        "the same\n"
        "Written by different versions of the kit, which may cause differences: kit: 0.1.0 -> 0.2.0\n"
        "CB-HEL-101  What a second hello draws. (after hello)\n"
        "    accepted -> closed\n"
        "1 difference\n"
    )


def test_an_unusable_file_is_named_and_returns_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = files(tmp_path, {})
    assert main(["fingerprint-diff", first, second]) == 2
    printed = capsys.readouterr()
    assert (printed.out, second in printed.err) == ("", True)
