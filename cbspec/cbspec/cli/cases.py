"""The cases of the suite, found in its source without importing it."""

from __future__ import annotations

import ast
import inspect
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
    """Return the cases in a folder of the suite, in the order of files and lines."""
    found: list[Case] = []
    for path in sorted(suite.glob("relay/**/test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        found += _cases(tree.body, path.relative_to(suite).as_posix(), "", ())
    return found


def _cases(body: list[ast.stmt], file: str, prefix: str, inherited: tuple[str, ...]) -> Iterator[Case]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        ids = tuple(dict.fromkeys([*inherited, *_requirements(node.decorator_list)]))
        name = prefix + node.name
        if isinstance(node, ast.ClassDef):
            inner = list(_cases(node.body, file, f"{name}.", ids))
            yield from inner
            if inner:
                continue
        if ids and (isinstance(node, ast.ClassDef) or node.name.startswith("test")):
            yield Case(file, name, ids, inspect.cleandoc(ast.get_docstring(node) or ""))


def _requirements(decorators: list[ast.expr]) -> Iterator[str]:
    """Yield the ids in `requirement("CB-…")` and `requirements("CB-…", …)`, including marks of single parameters."""
    for node in (node for decorator in decorators for node in ast.walk(decorator)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("requirement", "requirements"):
            constants = (each for arg in node.args for each in ast.walk(arg) if isinstance(each, ast.Constant))
            yield from (each.value for each in constants if isinstance(each.value, str))
