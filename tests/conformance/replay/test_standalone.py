"""The exported script's template: its imports, frames and judgements."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from cbspec_conformance.failures.frames import parse
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.record.exchange import SUCCESS
from cbspec_conformance.replay import standalone
from tests.conformance.build import HELLO_RESPONSE, SUCCESSES, error


def test_it_imports_only_the_standard_library_and_agrees_with_the_suite() -> None:
    tree = ast.parse(Path(standalone.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert standalone.SUCCESS == SUCCESS
    assert set(standalone.NO_ROOM) == set(OUT_OF_ROOM)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("last", [True, False])
def test_its_frames_are_valid(last: bool, size: int) -> None:
    assert parse(standalone.frame(1, last, bytes(size))) == [Frame(Opcode.TEXT, bytes(size), last)]


@pytest.mark.parametrize(
    ("kind", "values", "request_type", "answers", "present"),
    [
        ("accepted", [], "hello", [SUCCESSES["hello"]], False),
        ("accepted", [], "hello", [SUCCESSES["heartbeat"]], True),
        ("accepted", [], "auth", [{**SUCCESSES["auth"], "status": "no"}], True),
        ("accepted", [], "auth", [], True),
        ("refused_with", ["invalid_token"], "auth", [error("invalid_token")], False),
        ("refused_with", ["invalid_token"], "auth", [error("tenant_not_found")], True),
        ("refused", [], "auth", [error("anything")], False),
        ("refused", [], "auth", [SUCCESSES["auth"]], True),
        ("not_accepted", [], "tunnel_info", [], False),
        ("not_accepted", [], "tunnel_info", [error(), SUCCESSES["tunnel_info"]], True),
        ("noticed", [], "", [], True),
        ("noticed", [], "", ["not JSON"], False),
        ("all_answered", ["heartbeat_response"] * 2, "heartbeat", [SUCCESSES["heartbeat"]], True),
        ("all_answered", ["heartbeat_response"], "heartbeat", [SUCCESSES["heartbeat"]], False),
        ("invariant", [], "hello", [{**HELLO_RESPONSE, "version": 1}], True),
        ("invariant", [], "hello", [HELLO_RESPONSE], False),
    ],
)
def test_its_judgements_are_those_of_the_suite(
    kind: str,
    values: list[str],
    request_type: str,
    answers: list[object],
    present: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expectation = {"kind": kind, "values": values}
    monkeypatch.setattr(standalone, "FAILURE", {"requirement": "CB-X", "expectation": expectation, "tokens": {}})
    then = [{"json": {**HELLO_RESPONSE, "version": 1}}]
    step = {"send": [{"type": request_type, "json": {"type": request_type}}], "then": then}
    assert standalone.is_present(step, answers, "", standalone.StandaloneTokens()) is present
