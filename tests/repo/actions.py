"""Runs the steps of GitHub Actions and workflows as GitHub's runner does, with its files and variables.

Steps that use other actions are skipped: they need GitHub. Scripts are run unchanged, and must contain no expression:
no input can become a part of one. Source: "Metadata syntax for GitHub Actions" and "Variables reference".
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.repo.tree import text

_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")
_TERM = re.compile(r"(always\(\))|inputs\.([\w-]+) (==|!=) '([^']*)'")
_BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
PATIENCE = 500.0


def document(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(text(path))
    return loaded


@dataclass
class JobRun:
    """The result of an action: whether it succeeded, its outputs, its log and the job summary."""

    succeeded: bool = True
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""


class StepRunner:
    """Runs steps in a workspace; `temporary` is the folder for the runner's files, which steps share.

    `values` are those of the expressions in the steps' environments.
    """

    def __init__(self, workspace: Path, temporary: Path, values: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._temporary = temporary
        self.values = dict(values)
        self.job = JobRun()

    def run(self, step: Mapping[str, Any], **environment: str) -> None:
        """Run a step that has a script."""
        script: str = step["run"]
        assert "${{" not in script, f"{script}: give the value in env, so that it can't become code"
        assert step.get("shell", "bash") == "bash"
        files = {name: self._temporary / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        (file := self._temporary / "step.sh").write_text(script)
        done = subprocess.run(
            [*_BASH, str(file)],
            cwd=self._workspace,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "GITHUB_ACTIONS": "true",
                "RUNNER_TEMP": str(self._temporary),
                **{name: str(path) for name, path in files.items()},
                **{name: substituted(value, self.values) for name, value in step.get("env", {}).items()},
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        self.job.log += done.stdout.decode()
        self.job.summary += text(files["GITHUB_STEP_SUMMARY"])
        self.job.succeeded = self.job.succeeded and done.returncode == 0
        for line in text(files["GITHUB_OUTPUT"]).splitlines():
            name, _, value = line.partition("=")
            self.values[f"steps.{step['id']}.outputs.{name}"] = value


class ActionRunner:
    """Runs a composite action; see `StepRunner`."""

    def __init__(self, action: Path, workspace: Path, temporary: Path) -> None:
        self._action = action
        self._document = document(action)
        self._folders = workspace, temporary

    def run(self, *, without: tuple[str, ...] = (), **given: str) -> JobRun:
        """Run the steps, except those named in `without`, with some inputs (underscores stand for dashes)."""
        inputs = self._inputs({name.replace("_", "-"): value for name, value in given.items()})
        values = {f"inputs.{name}": value for name, value in inputs.items()}
        runner = StepRunner(*self._folders, {**values, "github.action_path": str(self._action.parent)})
        for step in self._document["runs"]["steps"]:
            if "run" in step and step["name"] not in without and _applies(step.get("if", ""), inputs, runner.job):
                runner.run(step)
        outputs = self._document["outputs"].items()
        runner.job.outputs = {name: substituted(row["value"], runner.values) for name, row in outputs}
        return runner.job

    def _inputs(self, given: Mapping[str, str]) -> dict[str, str]:
        declared = self._document["inputs"]
        assert set(given) <= set(declared)
        return {name: given.get(name, row["default"]) for name, row in declared.items()}


def _applies(condition: str, inputs: Mapping[str, str], job: JobRun) -> bool:
    """Evaluate a condition: terms with &&. After a failure, only a step with always() is run."""
    result, always = True, False
    for term in filter(None, condition.split(" && ")):
        match = _TERM.fullmatch(term)
        assert match, f"unknown term {term!r}"
        always = always or bool(match[1])
        result = result and (bool(match[1]) or (inputs[match[2]] == match[4]) == (match[3] == "=="))
    return result and (always or job.succeeded)


def substituted(value: str, values: Mapping[str, str]) -> str:
    """Return a text with its expressions replaced by their values."""
    return _EXPRESSION.sub(lambda match: values[match[1]], value)
