"""The files for CI services: valid by official schemas, pinned, and without needless rights; the release's steps."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.repo.actions import StepRunner, document
from tests.repo.tree import ROOT, name, text, tracked

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
ACTIONS = [ROOT / "action.yml", ROOT / "actions" / "client" / "action.yml"]
EXAMPLES = ROOT / "examples" / "ci"
GITLAB, COMPOSE = EXAMPLES / "cbspec.gitlab-ci.yml", EXAMPLES / "compose.yaml"
SCHEMAS = {"github-workflows": WORKFLOWS, "github-actions": ACTIONS, "gitlab-ci": [GITLAB], "compose-spec": [COMPOSE]}
"""The files by the name of their official schema, which check-jsonschema contains."""

PINNED = re.compile(r"([\w-]+/[\w/-]+)@([0-9a-f]{40}) # (v[\d.]+)")
"""A reference to the commit of a release: a tag can be moved."""


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_is_valid_by_the_official_schema(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *SCHEMAS[schema]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_foreign_action_is_pinned_to_the_same_commit_everywhere() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for file in (*WORKFLOWS, *ACTIONS):
        for used in re.findall(r"\buses: (.*)", text(file)):
            if not used.startswith("./"):
                match = PINNED.fullmatch(used)
                assert match, f"{name(file)}: {used}"
                pins.setdefault(match[1], set()).add((match[2], match[3]))
    assert {action for action, commits in pins.items() if len(commits) > 1} == set()
    assert {"actions/checkout", "pypa/gh-action-pypi-publish"} <= set(pins)


def test_no_job_has_more_rights_than_it_needs() -> None:
    writes = set()
    for file in WORKFLOWS:
        workflow = document(file)
        assert set(workflow["permissions"].values()) <= {"read"}, name(file)
        for job, row in workflow["jobs"].items():
            writes |= {(job, right) for right, level in row.get("permissions", {}).items() if level == "write"}
            assert row["timeout-minutes"] <= 60
            for step in row["steps"]:
                checkout = step.get("uses", "").startswith("actions/checkout@")
                assert not checkout or step["with"]["persist-credentials"] is False
        assert "secrets." not in text(file)
    assert writes == {("publish", "id-token"), ("publish", "attestations"), ("announce", "contents")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_release_is_built_twice_with_the_same_bytes_and_lists_its_contents(tmp_path: Path) -> None:
    workspace, temporary = tmp_path / "checkout", tmp_path / "runner"
    temporary.mkdir()
    for path in tracked():
        (target := workspace / name(path)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    steps: list[dict[str, Any]] = [step for step in document(RELEASE)["jobs"]["build"]["steps"] if "run" in step]
    runner = StepRunner(workspace, temporary, {"github.ref_name": "v0.1.0"})
    changelog = workspace / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased", "## 0.1.0"))
    for step in steps:
        runner.run(step, MAKEFLAGS=f"READY= BIN={Path(sys.executable).parent}")
        assert runner.job.succeeded, runner.job.log
    wheel, archive = sorted((workspace / "dist").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (wheel.suffix, archive.suffix) == (".whl", ".gz")
    contents = json.loads((workspace / "sbom" / "cbspec.cdx.json").read_text())
    assert contents["metadata"]["component"]["name"] == "cbspec"
    assert {"cryptography", "hypothesis"} <= {each["name"] for each in contents["components"]}


def test_a_release_with_another_tag_than_its_version_ends_at_once(tmp_path: Path) -> None:
    check = next(step for step in document(RELEASE)["jobs"]["build"]["steps"] if "run" in step)
    runner = StepRunner(ROOT, tmp_path, {"github.ref_name": "v0.0.9"})
    runner.run(check)
    assert not runner.job.succeeded
