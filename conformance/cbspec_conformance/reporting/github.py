"""A run in GitHub Actions: annotations on the log, and the job summary.

Both are automatic if GITHUB_ACTIONS is "true". Sources: GitHub's documents "Workflow commands for GitHub Actions" and
"Default environment variables"; the escapes are those of @actions/core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cbspec_conformance.judging.verdicts import BROKEN, Outcome, Verdict
from cbspec_conformance.reporting.formats.markdown import render
from cbspec_conformance.reporting.report import RunResult, Write, distinct
from cbspec_conformance.reporting.stream import RecordedRun, StreamError

_MOST: Final = 10
"""Annotations of a kind that GitHub shows for one step; it drops the others silently."""

_LARGEST: Final = 1_000_000
"""Bytes of a job summary; GitHub refuses one of more than 1 MiB."""


def annotate(run: RunResult, line: Write, environment: Mapping[str, str] = os.environ) -> None:
    """Annotate the log of a job with `line`. Does nothing outside of GitHub Actions."""
    if _is_github(environment):
        for command in workflow_commands(run):
            line(command)


def annotate_failure(reason: str, line: Write, environment: Mapping[str, str] = os.environ) -> None:
    """Annotate the log: nothing was judged. Does nothing outside of GitHub Actions."""
    if _is_github(environment):
        line(_command("error", "cbspec judged nothing", reason))


def summary_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of the job summary, or None outside of GitHub Actions."""
    name = environment.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name and _is_github(environment) else None


def write_summary(
    stream: Path, against: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Append the Markdown report of a stream to the job summary, if there is one; yield an error if that fails."""
    file = summary_file(environment)
    if file is None:
        return
    try:
        text = render(RecordedRun.load(stream, against))
        with file.open("ab") as summary:
            summary.write(text[:_LARGEST])
    except StreamError as error:
        yield f"{error}; the job has no summary"
    except OSError as error:
        yield f"GITHUB_STEP_SUMMARY: {error.filename}: {error.strerror}; the job has no summary"


def workflow_commands(run: RunResult) -> Iterator[str]:
    """Yield the workflow commands: errors for the reasons why a run did not pass, and warnings."""
    errors = [_about(verdict) for verdict in run.spoiling]
    errors += [_stale(run, id_) for id_ in run.stale]
    errors += [_command("error", "error of cbspec", text.splitlines()[-1]) for text in run.kit_errors if text]
    warned = () if run.fail_on_should else (each for each in run.verdicts if each.outcome is Outcome.WARNED)
    yield from _limited("error", errors)
    yield from _limited("warning", [_broken("warning", verdict) for verdict in warned])


def _about(verdict: Verdict) -> str:
    """Return the error about a verdict that spoils a run."""
    if verdict.outcome in BROKEN:
        return _broken("error", verdict)
    reason = next(iter(verdict.reasons), "")
    return _command("error", f"{verdict.requirement.id} {verdict.outcome}", f"{verdict.requirement.demand} {reason}")


def _broken(kind: str, verdict: Verdict) -> str:
    row, finding = verdict.requirement, distinct(verdict)[0]
    seen = f"Expected {finding.expected}; seen: {finding.seen}"
    return _command(kind, f"{row.id} ({row.level}) {verdict.outcome}", f"{row.demand}\n{seen}\n{finding.exchange}")


def _stale(run: RunResult, id_: str) -> str:
    text = f"{id_} passes now: remove its entry from {run.baseline.path}"
    return _command("error", f"{id_} is stale in the baseline", text, file=str(run.baseline.path or ""))


def _limited(kind: str, commands: list[str]) -> list[str]:
    if len(commands) <= _MOST:
        return commands
    left = len(commands) - _MOST + 1
    return [*commands[: _MOST - 1], _command(kind, f"{left} more", "The job summary names all of them.")]


def _command(kind: str, title: str, text: str, *, file: str = "") -> str:
    properties = {name: value for name, value in (("file", file), ("title", title)) if value}
    listed = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{kind} {listed}::{_escaped(text.strip())}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":  # the percent sign first: the escapes contain it
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _is_github(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"
