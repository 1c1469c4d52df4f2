"""Traceability: every requirement has a case, and every case has a requirement and its place."""

from __future__ import annotations

import ast
import re

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec.cli.explain import find_cases
from tests.repo.tree import PACKAGES, ROOT, name, sources, tree

SUITE = ROOT / PACKAGES["cbspec_conformance"]
CASES = find_cases(SUITE)
CASE_FILES = [path for path in sources("conformance/cbspec_conformance/relay") if path.name.startswith("test_")]

# Sections of the specification that share a file or whose heading is no good file name.
FILES = {
    "Notes / valid UTF-8 JSON": "notes/test_utf8_json.py",
    "Notes / all fields are required": "notes/test_utf8_json.py",
    "Notes / TLS 1.3": "notes/test_tls13.py",
    "Notes / all connections (WebSocket)": "notes/test_websocket.py",
}
# A demand on all message types is tried in the file of its chapter.
CHAPTER_FILES = {"MSG": "notes/test_utf8_json.py", "ROB": "notes/test_hostile_input.py"}
# Files with cases that cover several sections, and the chapters of those cases.
PROPERTIES = {
    "relay/error_codes/test_room.py": ("LIM",),
    "relay/error_codes/test_limits_model.py": ("LIM", "CON", "BUF"),
    "relay/message_types/test_5_error.py": ("MSG",),
    "relay/message_types/test_extra_members.py": ("AUT", "TUN"),
    "relay/message_types/test_near_misses.py": ("HEL", "AUT", "TUN", "TEN"),
    "relay/message_types/test_sequences.py": ("HEL", "AUT", "TUN", "TEN", "HBT", "UNK"),
    "relay/notes/test_tls13_handshake.py": ("TLS",),
    "relay/notes/test_tls13_records.py": ("TLS",),
    "relay/notes/test_tls13_resumption.py": ("TLS",),
    "relay/notes/test_websocket.py": ("MSG",),
    "relay/notes/test_any_spelling.py": ("MSG",),
}


def file_of(identifier: str) -> str:
    """Return the file for the section of a requirement."""
    row = REQUIREMENTS[identifier]
    if row.section == "Message Types":
        return CHAPTER_FILES[row.chapter]
    if row.section in FILES:
        return FILES[row.section]
    folder, heading = (re.sub(r"\W+", "_", part.lower()).strip("_") for part in row.section.split(" / "))
    return f"{folder}/test_{heading}.py"


def test_every_requirement_has_a_case_or_the_reason_for_none() -> None:
    carried = {identifier for case in CASES for identifier in case.requirements}
    assert {row.id for row in REQUIREMENTS.values() if (row.id in carried) == bool(row.untestable)} == set()
    assert carried <= set(REQUIREMENTS)


def test_every_case_is_in_the_file_of_its_section_and_has_a_description() -> None:
    for case in CASES:
        for identifier in case.requirements:
            in_place = case.file == f"relay/{file_of(identifier)}"
            in_place = in_place or REQUIREMENTS[identifier].chapter in PROPERTIES.get(case.file, ())
            assert in_place, f"{case.file}: {case.name} ({identifier})"
        assert case.description.endswith("."), f"{case.name}: cbspec explain shows a case's docstring, a sentence"


def test_every_case_carries_exactly_one_requirement() -> None:
    for path in CASE_FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                marks = " ".join(map(ast.unparse, node.decorator_list))
                carried = re.findall(r"\brequirements?\(", marks)
                assert len(carried) in (1, len(re.findall(r"pytest\.param\(", marks))), f"{node.name}, or each param"


def test_every_file_of_cases_names_its_source() -> None:
    files = [name(path) for path in CASE_FILES if not (ast.get_docstring(tree(path)) or "").startswith("Source: ")]
    assert files == []
