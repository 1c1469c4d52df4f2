"""No requirement without a case, no case without a requirement, and each case where its page has it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec.cli.cases import Case, find_cases
from cbspec.profile.profile import template
from tests.repo.tree import PACKAGES, ROOT, name, sources, tree

SUITE = ROOT / PACKAGES["cbspec_conformance"]
CASES = find_cases(SUITE)
CASE_FILES = [path for path in sources("conformance/cbspec_conformance/relay") if path.name.startswith("test_")]

# Sections of the specification that share a file, or whose heading makes no good name for one.
FILES = {
    "Notes / valid UTF-8 JSON": "notes/test_utf8_json.py",
    "Notes / all fields are required": "notes/test_utf8_json.py",
    "Notes / TLS 1.3": "notes/test_tls13.py",
    "Notes / all connections (WebSocket)": "notes/test_websocket.py",
}
# A demand on all message types at once is tried where its chapter is.
CHAPTER_FILES = {"MSG": "notes/test_utf8_json.py", "ROB": "notes/test_hostile_input.py"}
# A property that is tried on several sections at once stands beside the files of each; the chapters that it is about.
PROPERTIES = {
    "relay/error_codes/test_limits_model.py": ("LIM", "CON", "BUF"),
    "relay/error_codes/test_limits_at_once.py": ("LIM",),
    "relay/message_types/test_damaged_tokens.py": ("AUT",),
    "relay/message_types/test_near_misses.py": ("HEL", "AUT", "TUN", "TEN"),
    "relay/notes/test_utf8_json_websocket.py": ("MSG",),
    "relay/notes/test_any_spelling.py": ("MSG",),
    "relay/notes/test_damaged_json.py": ("MSG",),
}


def file_of(identifier: str) -> str:
    """Return the file that a requirement's section asks for."""
    row = REQUIREMENTS[identifier]
    if row.section == "Message Types":
        return CHAPTER_FILES[row.chapter]
    if row.section in FILES:
        return FILES[row.section]
    folder, heading = (re.sub(r"\W+", "_", part.lower()).strip("_") for part in row.section.split(" / "))
    return f"{folder}/test_{heading}.py"


def test_there_are_cases() -> None:
    assert len(CASES) > 100


@pytest.mark.parametrize("identifier", REQUIREMENTS)
def test_every_requirement_has_a_case_or_says_why_not(identifier: str) -> None:
    carried = any(identifier in case.requirements for case in CASES)
    assert carried != bool(REQUIREMENTS[identifier].untestable)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{Path(case.file).stem}-{case.name}")
def test_every_case_names_a_requirement_sits_in_its_place_and_says_how_it_tries(case: Case) -> None:
    for identifier in case.requirements:
        assert identifier in REQUIREMENTS
        file = file_of(identifier)
        # What is only observed stands beside the cases of its section, or in a file of its own beside theirs.
        beside = file.replace(".py", "_open.py") if REQUIREMENTS[identifier].level is Level.INFO else file
        chapters = PROPERTIES.get(case.file, ())
        assert case.file in (f"relay/{file}", f"relay/{beside}") or REQUIREMENTS[identifier].chapter in chapters
    assert case.description.endswith("."), "cbspec explain shows a case's docstring: a sentence"


def decorators(function: ast.FunctionDef, called: str) -> list[ast.Call]:
    """Return the calls of some name among a function's decorators, wherever they stand."""
    nodes = [node for decorator in function.decorator_list for node in ast.walk(decorator)]
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(called)]


def functions(path: Path) -> list[ast.FunctionDef]:
    """Return every test function of a file."""
    nodes = ast.walk(tree(path))
    return [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


@pytest.mark.parametrize("path", CASE_FILES, ids=name)
def test_every_case_carries_exactly_one_requirement(path: Path) -> None:
    for function in functions(path):
        outside = [d for d in function.decorator_list if ast.unparse(d).startswith("requirement(")]
        everywhere = decorators(function, "requirement")
        params = decorators(function, "pytest.param")
        if outside:
            assert len(everywhere) == len(outside) == 1, function.name
        else:
            marked = [param for param in params if "requirement(" in ast.unparse(param)]
            assert marked, f"{function.name} carries no requirement"
            assert len(marked) == len(params) == len(everywhere), f"{function.name}: each pytest.param carries one"


@pytest.mark.parametrize("path", CASE_FILES, ids=name)
def test_every_file_of_cases_names_its_source(path: Path) -> None:
    assert (ast.get_docstring(tree(path)) or "").startswith("Source: ")


def test_every_key_that_a_requirement_needs_is_a_key_of_the_profile() -> None:
    known = template()
    for row in REQUIREMENTS.values():
        for need in row.needs:
            for key in re.findall(r"\b(?:tenants|relay|conditions|remote|metrics|target)\.\w+", need):
                member = key.split(".")[1]
                assert re.search(rf"\b{member}\b", known), f"{row.id} needs {key}, which no profile has"
