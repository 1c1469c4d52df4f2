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
    (FOLDER / f"{name}.txt").write_text("".join(f"{_written(case)}\n" for case in ordered), encoding="ascii")


def _written(case: bytes) -> str:
    """Write a case on a line, without a space at its end that nobody would see."""
    line = case.decode("latin-1").encode("unicode_escape").decode("ascii")
    bare = line.rstrip(" ")
    return bare + r"\x20" * (len(line) - len(bare))
