"""The cases of the suite, found in its source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """A test case: its file, the requirements that it names, and its docstring."""

    file: str
    name: str
    requirements: tuple[str, ...]
    description: str


def suite_folder() -> Path | None:
    """Return the folder of the installed suite, or None."""
    spec = util.find_spec("cbspec_conformance")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def find_cases(suite: Path) -> list[Case]:
    """Return the cases in a folder of the suite, functions with a requirement, in the order of files and lines."""
    found: list[Case] = []
    for path in sorted(suite.glob("relay/**/test_*.py")):
        for node in ast.parse(path.read_bytes(), filename=str(path)).body:
            if isinstance(node, ast.FunctionDef) and (ids := dict.fromkeys(_requirements(node.decorator_list))):
                file = path.relative_to(suite).as_posix()
                found.append(Case(file, node.name, tuple(ids), ast.get_docstring(node) or ""))
    return found


def _requirements(decorators: list[ast.expr]) -> Iterator[str]:
    """Yield the ids in `requirement("CB-…")` and `requirements("CB-…", …)`, including marks of single parameters."""
    for node in (node for decorator in decorators for node in ast.walk(decorator)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("requirement", "requirements"):
            constants = (each for arg in node.args for each in ast.walk(arg) if isinstance(each, ast.Constant))
            yield from (each.value for each in constants if isinstance(each.value, str))
