"""Runs the steps of a composite GitHub Action as GitHub's runner does, with the files and variables that it provides.

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
PATIENCE = 200.0


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


class ActionRunner:
    """Runs an action in a workspace; `temporary` is the folder for the runner's files, which steps share."""

    def __init__(self, action: Path, workspace: Path, temporary: Path) -> None:
        self._action = action
        self._document = document(action)
        self._workspace = workspace
        self._temporary = temporary

    def run(self, *, without: tuple[str, ...] = (), **given: str) -> JobRun:
        """Run the steps, except those named in `without`, with some inputs (underscores stand for dashes)."""
        inputs = self._inputs({name.replace("_", "-"): value for name, value in given.items()})
        job, values = JobRun(), {"github.action_path": str(self._action.parent)}
        values |= {f"inputs.{name}": value for name, value in inputs.items()}
        for step in self._document["runs"]["steps"]:
            if "run" in step and step["name"] not in without and self._applies(step.get("if", ""), inputs, job):
                self._step(step, values, job)
        job.outputs = {
            name: _substituted(row["value"], values) for name, row in self._document.get("outputs", {}).items()
        }
        return job

    def _inputs(self, given: Mapping[str, str]) -> dict[str, str]:
        declared = self._document["inputs"]
        assert set(given) <= set(declared)
        missing = {name for name, row in declared.items() if row.get("required") and name not in given}
        assert not missing
        return {name: given.get(name, row.get("default", "")) for name, row in declared.items()}

    @staticmethod
    def _applies(condition: str, inputs: Mapping[str, str], job: JobRun) -> bool:
        """Evaluate a condition: terms with &&. After a failure, only a step with always() is run."""
        result, always = True, False
        for term in filter(None, condition.split(" && ")):
            match = _TERM.fullmatch(term)
            assert match, f"unknown term {term!r}"
            always = always or bool(match[1])
            result = result and (bool(match[1]) or (inputs[match[2]] == match[4]) == (match[3] == "=="))
        return result and (always or job.succeeded)

    def _step(self, step: Mapping[str, Any], values: dict[str, str], job: JobRun) -> None:
        script: str = step["run"]
        assert "${{" not in script, f"{step['name']}: give the value in env, so that it can't become code"
        assert step["shell"] == "bash"
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
                **{name: _substituted(value, values) for name, value in step.get("env", {}).items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
        job.log += done.stdout.decode()
        job.summary += text(files["GITHUB_STEP_SUMMARY"])
        job.succeeded = job.succeeded and done.returncode == 0
        for line in text(files["GITHUB_OUTPUT"]).splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = value


def _substituted(value: str, values: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: values[match[1]], value)
