"""Which requirements a case can blame: its own, those that its module names, and those of every exchange.

A case fails requirements other than its own: through invariants, through the steps that cases share, and by name. The
table is computed from the ids in the source, so that it can't become outdated; an id too many costs only time.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cbspec_schemas
from cbspec_conformance import SUITE

_ID: Final = re.compile(r"CB-[A-Z]{3}-\d{3}")
_SHARED: Final = ("judging", "target", "record", "probe")
_NO_BLAME: Final = ("follow_ups.py", "sentences.py")  # their ids are of findings made elsewhere
_MARKS: Final = ("requirement", "requirements")
_OWN: Final = re.compile(rf"{SUITE.name}\.(?:relay|oracles|properties)\b|cbspec\.tokens\.forgery")


def can_blame(file: Path, own: str, requirement: str) -> bool:
    """Whether a case in `file` with the requirement `own` can blame another one."""
    return requirement == own or requirement in everywhere() or requirement in _named(file)


@cache
def everywhere() -> frozenset[str]:
    """Return the requirements that any case can blame."""
    files = [file for folder in _SHARED for file in (SUITE / folder).glob("*.py") if file.name not in _NO_BLAME]
    schemas = json.dumps([cbspec_schemas.load(name) for name in cbspec_schemas.RELAY_TYPES])
    return frozenset(_ID.findall(schemas)).union(*map(_ids, files))


@cache
def _named(file: Path) -> frozenset[str]:
    """Return the requirements that a module names, and those in the tables and helpers that it imports."""
    return frozenset[str]().union(*map(_ids, [file, *_imports(file)]))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


def _imports(file: Path) -> Iterator[Path]:
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and _OWN.match(node.module):
            spec = find_spec(node.module)
            if spec is not None and spec.origin is not None:
                yield Path(spec.origin)


@cache
def _ids(file: Path) -> frozenset[str]:
    """Return the ids in the strings of a module, except those of marks and docstrings."""
    return frozenset(_strings(_tree(file)))


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _MARKS:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _ID.findall(node.value)
    for child in ast.iter_child_nodes(node):
        yield from _strings(child)
