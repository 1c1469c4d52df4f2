"""`cbspec learn` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.reporting.formats import FORMATS
from cbspec_conformance.reporting.stream import RecordedRun
from tests.conformance.commands import Done, run, simulator
from tests.support.processes import served

KNOWN = '[[known]]\nrequirement = "CB-AUT-016"\nreason = "a test"\n'
STALE = '[[known]]\nrequirement = "CB-TUN-004"\nreason = "it was repaired"\n'


def cbspec(*arguments: str) -> Done:
    return run("-m", "cbspec", *arguments, patience=280)


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.timeout(600)
def test_a_relay_is_learned_compared_drawn_reported_and_replayed(tmp_path: Path) -> None:
    results, failures, baseline = (str(tmp_path / name) for name in ("clean.jsonl", "failures", "baseline.toml"))
    with simulator(tmp_path) as profile:
        files = [f"--{kind}={tmp_path / kind}" for kind in ("save", "svg", "dot", "mermaid")]
        clean = cbspec("learn", "--profile", str(profile), *files, "--results", results)
    assert clean.code == 0, clean.text
    assert "4 states" in clean.text
    assert "No difference from the specification." in clean.text
    assert clean.text.endswith("\n4 passed, 0 failed, 0 warned, 0 inconclusive, 19 not exercised\n")
    assert (tmp_path / "svg").read_text().count('class="box"') == 4
    assert (tmp_path / "mermaid").read_text().startswith("stateDiagram-v2\n")
    assert (tmp_path / "dot").read_text().startswith("digraph")

    Path(baseline).write_text(KNOWN + STALE)
    (tmp_path / "later").mkdir()
    with simulator(tmp_path, "--deviation", "refused-but-authenticated") as profile:
        reports = [f"--{each.name}={tmp_path / each.name}" for each in FORMATS]
        verdict = ["--against", results, "--baseline", baseline, "--failures", failures]
        found = str(tmp_path / "found.jsonl")
        broken = cbspec("learn", "--profile", str(profile), "--results", found, *verdict, *reports)
        red = cbspec("replay", failures, "--profile", str(profile))
    assert broken.code == 1, broken.text
    told = " ".join(broken.text.split())
    assert "hello; auth, expired; tunnel A: now tunnel_response, then error invalid_token" in told
    assert "CB-AUT-016: a test" in told
    assert "did not pass: stale in the baseline: CB-TUN-004" in told
    recorded = RecordedRun.load(Path(found))
    assert recorded.machine is not None
    first = recorded.machine.differences[0]
    assert (first.requirement, first.word) == ("CB-AUT-016", ("hello", "auth, expired", "tunnel A"))
    assert {each.outcome for each in recorded.verdicts if each.requirement.id == "CB-AUT-016"} == {Outcome.KNOWN}
    judged = {each.requirement.id: each.outcome for each in recorded.rejudged().verdicts}
    assert judged == {each.requirement.id: each.outcome for each in recorded.verdicts}
    later = [f"--{each.name}={tmp_path / 'later' / each.name}" for each in FORMATS]
    assert cbspec("report", found, "--against", results, *later).code == 0
    for each in FORMATS:
        assert content(tmp_path / "later" / each.name) == content(tmp_path / each.name), each.name
    assert "known: a test" in (tmp_path / "junit").read_text()
    assert (red.code, "still failing: as recorded" in red.text) == (1, True), red.text


def test_a_relay_that_is_not_deterministic_is_reported(tmp_path: Path) -> None:
    fault = (
        '[[faults]]\nname = "odd"\nkind = "error"\ncode = "server_unavailable"\n'
        'when = { message = "tunnel_info", probability = 0.2 }\n'
    )
    with served(tmp_path, config=fault) as relay:
        done = cbspec("learn", "--profile", str(relay.profile_file), "--max-time", "60", "--junit", str(tmp_path / "x"))
    assert done.code == 1, done.text
    assert "the relay is not deterministic" in done.text
    assert "inconclusive: the relay is not deterministic" in (tmp_path / "x").read_text()


def test_no_relay_and_a_wrong_file_are_one_line(tmp_path: Path) -> None:
    results = tmp_path / "x.jsonl"
    gone = cbspec("learn", "127.0.0.1:1", "--results", str(results))
    assert (gone.code, gone.text.count("\n")) == (3, 1)
    assert json.loads(results.read_text().splitlines()[-1])["reason"].startswith("nothing to judge: ")
    (tmp_path / "x").write_text("{}")
    wrong = cbspec("learn", "127.0.0.1:1", "--against", str(tmp_path / "x"))
    assert (wrong.code, wrong.text.count("\n")) == (4, 1)
    assert "has no machine" in cbspec("learn", "127.0.0.1:1", "--against", str(results)).text
