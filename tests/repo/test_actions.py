"""The GitHub Actions: their steps, unchanged, as scripts, against relays and clients that conform or don't."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cbspec_conformance.runner.options import free_endpoint
from tests.repo.actions import ActionRunner, JobRun, document
from tests.repo.tree import ROOT
from tests.support.processes import Served, served

RELAY, CLIENT = ROOT / "action.yml", ROOT / "actions" / "client" / "action.yml"
INSTALL = ("Install cbspec",)
BROKEN = "CB-UNK-001"
BASELINE = '[[known]]\nrequirement = "{}"\nreason = "mended in release 2"\n'


def verdict(job: JobRun) -> tuple[bool, str, str]:
    """Return the colour of the check, and the outputs about it; the files must be there, too."""
    assert all(Path(job.outputs[name]).exists() for name in ("results", "junit", "sarif", "html"))
    return job.succeeded, job.outputs["verdict"], job.outputs["exit-code"]


def folders(root: Path) -> tuple[Path, Path]:
    for folder in (made := (root / "a workspace", root / "runner")):
        folder.mkdir()
    return made


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Path, Path]:
    """Return workspace and temporary folder of a runner in which this environment is the installed one."""
    workspace, temporary = folders(tmp_path)
    (temporary / "cbspec").symlink_to(sys.prefix)
    return workspace, temporary


@pytest.mark.timeout(600)
def test_the_action_judges_a_relay_over_the_life_of_a_known_failure(
    installed: tuple[Path, Path], tmp_path: Path
) -> None:
    workspace, temporary = installed
    action = ActionRunner(RELAY, workspace, temporary)
    (workspace / "known.toml").write_text(BASELINE.format(BROKEN))

    def judge(name: str, relay: Served | None, **given: str) -> JobRun:
        if relay is not None:
            given |= {"target": "{}:{}".format(*relay.address), "profile": str(relay.profile_file)}
        # Only a run of all cases that can break a requirement finds out that its entry is stale.
        options = "--effort quick " + (f"--only '{BROKEN}'" if relay is None else "-k test_unknown_message_type")
        return action.run(without=INSTALL, options=options, folder=str(workspace / name), **given)

    with served(tmp_path, "--deviation", "unknown-type-wrong-code") as relay:
        failing = judge("failing", relay)
        known = judge("known", relay, baseline="known.toml")
    assert verdict(failing) == (False, "failed", "1"), failing.log
    assert f"| {BROKEN} | MUST |" in failing.summary
    assert re.search(rf"^::error title={BROKEN} \(MUST\) failed::", failing.log, re.MULTILINE)
    assert list((workspace / "failing" / "failures").iterdir())
    assert verdict(known) == (True, "passed", "0"), known.log
    assert known.summary.startswith("## ✅")
    assert "::error" not in known.log
    port = free_endpoint().port  # the action starts the repaired relay itself, and stops it
    relay_command = {"target": f"127.0.0.1:{port}", "command": f"cbspec simulate --port {port}"}
    repaired = judge("repaired", None, baseline="known.toml", **relay_command)
    assert verdict(repaired) == (False, "failed", "1"), repaired.log
    assert f"Stale in the baseline, remove them: {BROKEN}" in repaired.summary
    assert f"::error file=known.toml,title={BROKEN} is stale in the baseline::" in repaired.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"wait": "0", "target": "127.0.0.1:1", "command": "echo no key"}, "3", "## ❌ 127.0.0.1:1: not judged"),
        ({"options": "--no-such-option $(touch injected) `touch injected`; touch injected"}, "4", ""),
    ],
    ids=["no relay", "wrong option"],
)
def test_the_action_tells_wrong_input_from_a_failing_relay(
    given: dict[str, str], code: str, said: str, installed: tuple[Path, Path]
) -> None:
    job = ActionRunner(RELAY, *installed).run(without=INSTALL, **given)
    assert (job.succeeded, job.outputs["exit-code"]) == (False, code), job.log
    assert job.summary.startswith(said)
    assert ("Its last output:\nno key" in job.log) == ("command" in given)
    assert not list(installed[0].rglob("injected*"))


SITUATION = "certificate-unknown-ca"
REQUIREMENT = "CC-TLS-007"


def test_the_action_judges_a_client_over_the_life_of_a_known_failure(installed: tuple[Path, Path]) -> None:
    (installed[0] / "known.toml").write_text(BASELINE.format(REQUIREMENT))
    action, options = ActionRunner(CLIENT, *installed), f"--situation {SITUATION} --only {REQUIREMENT} --fail-on should"
    conforming = f"{sys.executable} -m tests.adequacy.clients {{host}} {{port}} {{ca}} {{token}}"
    conforming = shlex.join(["env", f"PYTHONPATH={ROOT}", *shlex.split(conforming)])

    def judge(folder: str, command: str, **given: str) -> JobRun:
        folder = str(installed[0] / folder)
        return action.run(without=INSTALL, command=command, options=options, folder=folder, **given)

    failing = judge("failing", f"{conforming} --with unknown-ca-accepted")
    assert verdict(failing) == (False, "failed", "1"), failing.log
    assert f"| {REQUIREMENT} | SHOULD |" in failing.summary
    assert f"::error title={REQUIREMENT} (SHOULD) warned::" in failing.log
    known = judge("known", f"{conforming} --with unknown-ca-accepted", baseline="known.toml")
    assert verdict(known) == (True, "passed", "0"), known.log


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_action_installs_the_kit_of_its_checkout(tmp_path: Path) -> None:
    workspace, temporary = folders(tmp_path)
    action, folder = ActionRunner(RELAY, workspace, temporary), str(workspace / "report")
    job = action.run(wait="0", target="127.0.0.1:1", folder=folder)
    assert verdict(job) == (False, "not judged", "3"), job.log


def test_both_actions_install_the_kit_of_their_own_checkout_in_the_same_way() -> None:
    steps = [
        {step["name"]: step for step in document(action)["runs"]["steps"]}[INSTALL[0]] for action in (RELAY, CLIENT)
    ]
    assert steps[0]["run"] == steps[1]["run"]
    places = [
        step["env"]["KIT"].replace("${{ github.action_path }}", str(action.parent))
        for step, action in zip(steps, (RELAY, CLIENT), strict=True)
    ]
    assert [Path(place).resolve() for place in places] == [ROOT, ROOT]


def test_the_scripts_of_the_actions_are_valid_for_bash(tmp_path: Path) -> None:
    for action in (RELAY, CLIENT):
        for step in document(action)["runs"]["steps"]:
            (script := tmp_path / "step.sh").write_text(step.get("run", ""))
            assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).returncode == 0
