"""`cbspec learn` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.commands import run, simulator
from tests.support.processes import served


def test_a_relay_is_learned_compared_and_drawn(tmp_path: Path) -> None:
    with simulator(tmp_path) as profile:
        files = [f"--{kind}={tmp_path / kind}" for kind in ("save", "svg", "dot", "mermaid")]
        clean = run("-m", "cbspec", "learn", "--profile", str(profile), *files)
    assert clean.code == 0, clean.text
    assert "4 states" in clean.text
    assert "No difference from the specification." in clean.text
    assert (tmp_path / "svg").read_text().count('class="box"') == 4
    assert (tmp_path / "mermaid").read_text().startswith("stateDiagram-v2\n")
    assert (tmp_path / "dot").read_text().startswith("digraph")
    with simulator(tmp_path, "--deviation", "refused-but-authenticated") as profile:
        against = ("--against", str(tmp_path / "save"))
        found = run("-m", "cbspec", "learn", "--profile", str(profile), "--json", *against)
    assert found.code == 1, found.text
    result = json.loads(found.text)
    first = result["differences"][0]
    assert (first["requirement"], first["inputs"]) == ("CB-AUT-016", ["hello", "auth, expired", "tunnel A"])
    assert ["hello", "auth, expired", "tunnel A"] in [each["inputs"] for each in result["changes"]]


def test_a_relay_that_is_not_deterministic_is_reported(tmp_path: Path) -> None:
    fault = (
        '[[faults]]\nname = "odd"\nkind = "error"\ncode = "server_unavailable"\n'
        'when = { message = "tunnel_info", probability = 0.2 }\n'
    )
    with served(tmp_path, config=fault) as relay:
        done = run("-m", "cbspec", "learn", "--profile", str(relay.profile_file), "--max-time", "60")
    assert done.code == 1, done.text
    assert "the relay is not deterministic" in done.text


def test_no_relay_and_a_wrong_file_are_one_line(tmp_path: Path) -> None:
    gone = run("-m", "cbspec", "learn", "127.0.0.1:1")
    assert (gone.code, gone.text.count("\n")) == (3, 1)
    (tmp_path / "x").write_text("{}")
    wrong = run("-m", "cbspec", "learn", "127.0.0.1:1", "--against", str(tmp_path / "x"))
    assert (wrong.code, wrong.text.count("\n")) == (4, 1)
