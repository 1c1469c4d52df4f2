"""What is in the repository: files as git has them, packages and modules."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "cbspec": "cbspec/cbspec",
    "cbspec_schemas": "schemas/cbspec_schemas",
    "cbspec_simulator": "simulator/cbspec_simulator",
    "cbspec_client": "reference_client/cbspec_client",
    "cbspec_conformance": "conformance/cbspec_conformance",
}
"""The folder of each import name: each top-level folder is a source root that holds one package."""


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files that are part of the repository, or about to be; where git isn't, all but what is made here."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        return tuple(path for path in sorted(ROOT.rglob("*")) if path.is_file() and not _made(path))
    names = listing.stdout.decode().split("\0")
    return tuple(ROOT / name for name in sorted(names) if name and (ROOT / name).is_file())


def _made(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part.startswith(".") or part in ("__pycache__", "build", "dist") for part in parts[:-1])


def name(path: Path) -> str:
    """Return a file's name as people write it: from the repository's root."""
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    """Return the Python files in some folders."""
    wanted = tuple(f"{folder}/" for folder in folders)
    return [path for path in tracked() if path.suffix == ".py" and name(path).startswith(wanted)]


def text(path: Path) -> str:
    """Return a file's text."""
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(text(path), filename=name(path))
