"""`cbspec explain`: the demand of a requirement, the reason, and its cases."""

from __future__ import annotations

import argparse
import ast
import importlib
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Final

from cbspec.catalogue.requirements import (
    CHAPTERS,
    CLIENT_REQUIREMENTS,
    REQUIREMENTS,
    JudgedRole,
    Requirement,
    find,
)
from cbspec.catalogue.revisions import PRESENT

_WIDTH: Final = 100
_SET: Final = (
    f"{PRESENT}: {len(REQUIREMENTS)} requirements on relays (set {PRESENT.digest(JudgedRole.RELAY)}), "
    f"{len(CLIENT_REQUIREMENTS)} on clients (set {PRESENT.digest(JudgedRole.CLIENT)})."
)


@dataclass(frozen=True, slots=True)
class Case:
    """A test case: its file, the requirements that it names, and its docstring."""

    file: str
    name: str
    requirements: tuple[str, ...]
    description: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec explain`."""
    parser.add_argument(
        "requirements", nargs="*", metavar="ID", help="id of a requirement, such as CB-TUN-004 (default: list all)"
    )


def run(args: argparse.Namespace) -> int:
    """Explain the given requirements, or list all."""
    wanted = [find(id_) for id_ in args.requirements]
    if not wanted:
        print("\n".join(listing()))
        return 0
    suite = suite_folder()
    cases = find_cases(suite) if suite else []
    print(f"{_SET}\n")
    print("\n\n".join("\n".join(explanation(requirement, cases)) for requirement in wanted))
    return 0


def listing() -> Iterator[str]:
    """Yield the lines of the list of requirements by chapter."""
    chapter = ""
    for requirement in (*REQUIREMENTS.values(), *CLIENT_REQUIREMENTS.values()):
        named = f"{CHAPTERS[requirement.chapter]}{' (clients)' if requirement.role is JudgedRole.CLIENT else ''}"
        if named != chapter:
            if chapter:
                yield ""
            chapter = named
            yield named
        yield f"  {requirement.id}  {requirement.level:<6}  {requirement.demand}"
    yield ""
    yield _SET


def explanation(requirement: Requirement, cases: Sequence[Case]) -> Iterator[str]:
    """Yield the lines of an explanation of one requirement, with those of `cases` that name it."""
    yield f"{requirement.id}  {requirement.level}  {requirement.section}"
    yield from _paragraph("", requirement.demand)
    yield from _paragraph("Why: ", requirement.why)
    yield from _paragraph("In use: ", requirement.deployed)
    yield from _paragraph("When: ", requirement.when)
    yield from _paragraph("Needs in the profile: ", "; ".join(requirement.needs))
    yield from _paragraph("Not tested: ", requirement.untestable)
    if requirement.role is JudgedRole.CLIENT:
        yield from _paragraph("Situations (cbspec verify-client --situation NAME): ", situations_of(requirement.id))
    own = [case for case in cases if requirement.id in case.requirements]
    if own:
        yield "  Cases:"
    for case in own:
        yield f"    conformance/cbspec_conformance/{case.file}: {case.name}"
        for paragraph in case.description.split("\n\n"):
            yield from textwrap.wrap(paragraph, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _paragraph(label: str, text: str) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(label + text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def situations_of(id_: str) -> str:
    """Return the names of the situations that are about a requirement on clients."""
    if suite_folder() is None:
        return ""
    situations = importlib.import_module("cbspec_conformance.client.situations").SITUATIONS
    return ", ".join(row.name for row in situations.values() if row.requirement == id_) or "any of them"


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
