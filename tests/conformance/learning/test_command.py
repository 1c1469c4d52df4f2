"""`cbspec learn` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbspec.profile.profile import load
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.machines.machine import Machine, MachineData, load_machine
from cbspec_conformance.reporting.events import MachineLearned
from cbspec_conformance.reporting.formats import FORMATS
from cbspec_conformance.reporting.stream import RecordedRun, line_of
from tests.conformance.commands import Done, run, simulator
from tests.conformance.learning.conftest import learner_of
from tests.conformance.reporting.streams import write_stream
from tests.support.processes import served

KNOWN = '[[known]]\nrequirement = "CB-AUT-016"\nreason = "a test"\n'
STALE = '[[known]]\nrequirement = "CB-TUN-004"\nreason = "it was repaired"\n'


def cbspec(*arguments: str) -> Done:
    return run("-m", "cbspec", *arguments, patience=280)


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


def results_with(machine: Machine, file: Path) -> Path:
    """Write the results of a learning that found this machine."""
    *lines, end = write_stream(file, []).read_text().splitlines()
    event = MachineLearned(1, 1, len(machine.names), MachineData.of(machine))
    file.write_text("\n".join([*lines, line_of(event).decode().strip(), end, ""]))
    return file


@pytest.mark.timeout(300)
def test_a_relay_is_learned_compared_drawn_reported_and_replayed(tmp_path: Path) -> None:
    failures, baseline, found = (str(tmp_path / name) for name in ("failures", "baseline.toml", "found.jsonl"))
    Path(baseline).write_text(KNOWN + STALE)
    (tmp_path / "later").mkdir()
    with simulator(tmp_path, "--deviation", "refused-but-authenticated") as profile:
        known = learner_of(load(profile)).known
        earlier = str(results_with(known, tmp_path / "earlier.jsonl"))
        files = [f"--{kind}={tmp_path / kind}" for kind in ("save", "svg", "dot", "mermaid")]
        reports = [f"--{each.name}={tmp_path / each.name}" for each in FORMATS]
        verdict = ["--against", earlier, "--baseline", baseline, "--failures", failures]
        broken = cbspec("learn", "--profile", str(profile), "--results", found, *verdict, *files, *reports)
        red = cbspec("replay", failures, "--profile", str(profile))
    assert broken.code == 1, broken.text
    assert (tmp_path / "svg").read_text().count('class="box"') == 5
    assert (tmp_path / "mermaid").read_text().startswith("stateDiagram-v2\n")
    assert (tmp_path / "dot").read_text().startswith("digraph")
    assert load_machine(tmp_path / "save") != known
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
    assert cbspec("report", found, "--against", earlier, *later).code == 0
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
