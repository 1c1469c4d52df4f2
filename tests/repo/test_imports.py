"""The direction of imports, as ARCHITECTURE.md has it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.tree import PACKAGES, name, sources, tree

# What the modules in a folder may import of ours, besides the folder itself.
ALLOWED = {
    "schemas": set(),
    "cbspec": {"schemas"},
    "cbspec/cli": {"cbspec", "schemas", "simulator", "reference_client", "conformance"},
    "simulator": {"cbspec", "schemas"},
    "reference_client": {"cbspec", "schemas"},
    "conformance": {"cbspec", "schemas"},
}
# What opens a socket, starts a task or reads a clock has no place in the layers without I/O.
EDGES = {"asyncio", "socket", "selectors", "threading", "multiprocessing", "subprocess"}
SANS_IO = [path for path in sources("cbspec") if not name(path).startswith("cbspec/cli/")]


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: imports are absolute"
            yield node.module or ""


def folder_of(path: Path) -> str:
    """Return the part of the repository whose rule applies to a file."""
    return "cbspec/cli" if name(path).startswith("cbspec/cli/") else name(path).split("/")[0]


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=name)
def test_a_module_imports_only_what_its_folder_may(path: Path) -> None:
    folder = folder_of(path)
    own = folder.split("/")[0]
    foreign = {module.split(".")[0] for module in imported(path)} & {*PACKAGES, "tests"}
    assert foreign - {own} <= ALLOWED[folder]


@pytest.mark.parametrize("path", SANS_IO, ids=name)
def test_the_protocol_doesn_t_know_its_command_line(path: Path) -> None:
    if name(path) != "cbspec/__main__.py":
        assert not [module for module in imported(path) if module.startswith("cbspec.cli")]


@pytest.mark.parametrize("path", SANS_IO, ids=name)
def test_the_protocol_does_no_io(path: Path) -> None:
    assert not {module.split(".")[0] for module in imported(path)} & EDGES


def test_every_package_has_a_rule() -> None:
    assert {folder.split("/")[0] for folder in ALLOWED} == set(PACKAGES)
