"""The corpus: one file a target, one case a line, written so that a person can read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpus"


def read(name: str) -> list[bytes]:
    """Return a target's cases."""
    file = FOLDER / f"{name}.txt"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def write(name: str, cases: Iterable[bytes]) -> None:
    """Write a target's cases, the shortest first, each once."""
    ordered = sorted(set(cases), key=lambda case: (len(case), case))
    lines = [case.decode("latin-1").encode("unicode_escape").decode("ascii") for case in ordered]
    (FOLDER / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
