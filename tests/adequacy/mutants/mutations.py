"""Every mutant of a module: mutmut's operators, applied one at a time to one place of the source.

mutmut itself calls mutants through trampolines, and so leaves tables, properties and defaults alone. Much of what the
relay decides is a table: here the mutated module is written out as a whole instead. What puts None in the place of a
value isn't tried: mypy (strict) refuses nearly all of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.mutators import mutation_operators

_REQUIREMENT = re.compile(r"CB-[A-Z]{3}-\d{3}")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one module.

    `file` is relative to the repository, `scope` the function or class in it. `was` and `becomes` are the lines that
    differ, `nth` tells apart those that read the same; `source` is the mutated module.
    """

    file: str
    scope: str
    was: str
    becomes: str
    nth: int
    source: str

    @property
    def id(self) -> str:
        """Name the mutant by what it changes, so that the name outlives changes elsewhere in the file."""
        again = f" (no. {self.nth})" if self.nth > 1 else ""
        return f"{self.file} {self.scope}: {self.was} -> {self.becomes}{again}"


def mutants_of(root: Path, file: str) -> Iterator[Mutant]:
    """Give the mutants of a module, in the order of its source."""
    # The copy has no node twice, so that a node is a place.
    module = MetadataWrapper(cst.parse_module((root / file).read_text(encoding="utf-8"))).module
    parts = [module.code_for_node(part) for part in (*module.header, *module.body, *module.footer)]
    seen, names = {"".join(parts)}, Counter[tuple[str, str, str]]()
    for place, statement in enumerate(module.body, len(module.header)):
        for scope, node, mutated in _mutations(statement, ""):
            part = module.code_for_node(_replaced(statement, node, mutated))
            source = "".join([*parts[:place], part, *parts[place + 1 :]])
            if source in seen:
                continue
            seen.add(source)
            name = (scope, *_difference(parts[place], part))
            names[name] += 1
            yield Mutant(file, *name, names[name], source)


def _mutations(node: Any, scope: str) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - a node of libcst's
    if _is_beyond(node):
        return
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        scope = f"{scope}.{node.name.value}".lstrip(".")
    elif not scope and isinstance(node, cst.Assign | cst.AnnAssign):
        scope = _target(node)
    yield from ((scope or "module", node, mutated) for mutated in _mutated(node))
    for child in node.children:
        yield from _mutations(child, scope)


def _mutated(node: Any) -> Iterator[Any]:  # noqa: ANN401 - nodes of libcst's
    for kind, operator in mutation_operators:
        if isinstance(node, kind) and kind not in (cst.Assign, cst.AnnAssign):
            for number, mutated in enumerate(operator(node)):
                # A string in capitals and in small letters says nothing that the first mutant doesn't.
                if not _is_ill_typed(node, mutated) and not (number and kind is cst.BaseString):
                    yield mutated


def _is_ill_typed(node: Any, mutated: Any) -> bool:  # noqa: ANN401 - nodes of libcst's
    """Say whether a call has None for an argument, or lacks one by place: mypy would refuse nearly all of them."""
    if not isinstance(node, cst.Call) or node.func is not mutated.func:
        return False
    lacking = [argument for argument in node.args if argument not in mutated.args]
    return len(node.args) == len(mutated.args) or not lacking[0].keyword


def _is_beyond(node: Any) -> bool:  # noqa: ANN401 - a node of libcst's
    """Say whether a node is none of the relay's behaviour: types, what prose says, what only tools read."""
    match node:
        case cst.Annotation() | cst.Decorator() | cst.Import() | cst.ImportFrom():
            return True
        case cst.Call(func=cst.Name(value="isinstance" | "len" | "TypeVar" | "NewType")):
            return True  # as mutmut has it: the mutants only crash
        case cst.Assign() | cst.AnnAssign() if _target(node) == "__slots__":
            return True
        case cst.SimpleString():
            text = node.evaluated_value
            return isinstance(text, str) and (" " in text or bool(_REQUIREMENT.fullmatch(text)))
    return False


def _target(node: Any) -> str:  # noqa: ANN401 - a node of libcst's
    target = node.target if isinstance(node, cst.AnnAssign) else node.targets[0].target
    return target.value if isinstance(target, cst.Name) else ""


def _replaced(statement: Any, node: Any, mutated: Any) -> Any:  # noqa: ANN401 - nodes of libcst's
    return mutated if statement is node else statement.deep_replace(node, mutated)


def _difference(before: str, after: str) -> tuple[str, str]:
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return _line(old), _line(new)


def _line(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
