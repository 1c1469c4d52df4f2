"""What an exported script is made of: the standard library alone, and the same messages as the kit's."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from cbspec.protocol.state import SUCCESS_TYPES
from cbspec_conformance.failures.frames import parse
from cbspec_conformance.judging.judge import OUT_OF_ROOM
from cbspec_conformance.replay import standalone
from tests.conformance.build import HELLO_RESPONSE, SUCCESSES, error


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(standalone.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_it_agrees_with_the_suite_on_what_there_is() -> None:
    assert standalone.SUCCESS == SUCCESS_TYPES
    assert set(standalone.NO_ROOM) == set(OUT_OF_ROOM)


@settings(deadline=None)
@given(st.sampled_from([1, 2, 0]), st.booleans(), st.sampled_from([0, 125, 126, 65535, 65536]))
def test_its_frames_are_frames(opcode: int, last: bool, size: int) -> None:
    assert parse(standalone.frame(opcode, last, bytes(size))) == [Frame(Opcode(opcode), bytes(size), last)]


@pytest.mark.parametrize(
    ("kind", "values", "request_type", "answers", "there"),
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
def test_its_judgements_are_the_suite_s(
    kind: str,
    values: list[str],
    request_type: str,
    answers: list[object],
    there: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expectation = {"kind": kind, "values": values}
    monkeypatch.setattr(standalone, "FAILURE", {"requirement": "CB-X", "expectation": expectation, "tokens": {}})
    then = [{"json": {**HELLO_RESPONSE, "version": 1}}]
    step = {"send": [{"type": request_type, "json": {"type": request_type}}], "then": then}
    assert standalone.judge(step, answers, "", standalone.StandaloneTokens()) == int(there)
