"""The files of the repository: paths, texts and syntax trees."""

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
    """Return the tracked files; without git, all files except build products."""
    listing = subprocess.run(["git", "ls-files", "--cached", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        return tuple(path for path in sorted(ROOT.rglob("*")) if path.is_file() and not _is_build_product(path))
    names = listing.stdout.decode().split("\0")
    return tuple(ROOT / name for name in sorted(names) if name and (ROOT / name).is_file())


def _is_build_product(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part.startswith(".") or part in ("__pycache__", "node_modules", "build", "dist") for part in parts[:-1])


def name(path: Path) -> str:
    """Return a path relative to the root of the repository, with slashes."""
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    """Return the Python files below some folders."""
    wanted = tuple(f"{folder}/" for folder in folders)
    return [path for path in tracked() if path.suffix == ".py" and name(path).startswith(wanted)]


def text(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(text(path), filename=name(path))
