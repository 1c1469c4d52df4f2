"""The exported script's template: its imports, frames, judgements and forged tokens."""

from __future__ import annotations

import ast
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import IssuerSettings
from cbspec.tokens.forgery import FORGERIES, Forgery
from cbspec_conformance.failures.recording import parse_frames
from cbspec_conformance.replay import standalone
from cbspec_conformance.replay.script import compare
from tests.conformance.build import HELLO_RESPONSE, error


def test_it_imports_only_the_standard_library() -> None:
    tree = ast.parse(Path(standalone.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("last", [True, False])
def test_its_frames_are_valid(last: bool, size: int) -> None:
    assert parse_frames(standalone.frame(1, last, bytes(size))) == [Frame(Opcode.TEXT, bytes(size), last)]


HELLO = {**HELLO_RESPONSE, "version": 1}
TUNNEL = {"type": "tunnel_response", "status": "ok", "tunnel_id": "asked"}


@pytest.mark.parametrize(
    ("answers", "then", "same_end", "present"),
    [
        ([HELLO], [HELLO], True, True),
        ([HELLO_RESPONSE], [HELLO], True, False),
        ([HELLO, HELLO], [HELLO], True, False),
        ([], [], True, True),
        ([], [], False, False),
        (["not JSON"], ["not JSON"], False, True),
        ([{**error("x"), "message": "one"}], [{**error("x"), "message": "two"}], True, True),
        ([error("x")], [error("y")], True, False),
        ([TUNNEL], [{**TUNNEL, "tunnel_id": "another"}], True, False),
        ([error("rate_limit_exceeded")], [error("rate_limit_exceeded")], True, True),
        ([error("tenant_limit_exceeded")], [error("x")], True, False),
    ],
)
def test_a_failure_is_present_if_the_relay_answers_as_it_did(
    answers: list[Any], then: list[Any], same_end: bool, present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        standalone, "FAILURE", {"requirement": "CB-X", "no_room": ["rate_limit_exceeded"], "compared": None}
    )
    request = b'{"tunnel_id":"asked"}'
    assert standalone.is_present(request, answers, then, same_end) is present
    if present and answers == [error("rate_limit_exceeded")]:
        with pytest.raises(standalone.Unclear, match="no capacity: rate_limit_exceeded"):
            standalone.is_present(request, answers, [], same_end)


ISSUER = Issuer(IssuerSettings(development=True), time.time)
# Forgeries that are no token of three segments, or contain a key: the user has to provide them.
NOT_MADE = {"CB-AUT-012", "CB-AUT-013", "CB-AUT-014", "CB-AUT-015"}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_a_script_makes_the_same_kind_of_token(forgery: Forgery, monkeypatch: pytest.MonkeyPatch) -> None:
    if forgery.needs_certificate or forgery.needs_key_pair:
        return
    valid = ISSUER.valid("tenant-001")
    forged = ISSUER.forged(forgery, "tenant-001", "tenant-002", valid)
    recipe = compare(forged, valid, DEVELOPMENT_SECRET, time.time()) if isinstance(forged, str) else None
    if recipe is None:
        assert forgery.requirement in NOT_MADE or re.search("brings|space|key-id", forgery.name)
        return
    tokens = {"token-1": {"tenant": "tenant-001"}, "token-2": {"of": "token-1", **recipe}}
    monkeypatch.setattr(standalone, "FAILURE", {"claims": {"sub": "user123"}, "tokens": tokens})
    monkeypatch.setenv("CBSPEC_SECRET", DEVELOPMENT_SECRET)
    made = standalone.StandaloneTokens()
    remade = compare(made.get("token-2"), made.get("token-1"), DEVELOPMENT_SECRET, time.time())
    assert remade is not None
    assert remade.pop("in_seconds", {}) == pytest.approx(recipe.pop("in_seconds", {}), abs=60)
    assert remade == recipe
