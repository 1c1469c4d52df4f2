"""Suites and relays in forked processes: imports would take longer than most runs."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

import cbspec_conformance.relay
from cbspec.cli import main
from cbspec_conformance.reporting.results import write_results
from cbspec_conformance.reporting.saved_run import SavedRun

SUITE = Path(cbspec_conformance.__file__).parent

_GRACE = 10.0  # seconds for a relay to end
_START = 60.0  # seconds for its start


class NoResults(Exception):
    """A run has no results; the text gives the reason."""


def fork_server() -> ForkServerContext:
    """Return a server that has imported the suite and the simulator."""
    context = multiprocessing.get_context("forkserver")
    cases = [
        module.name for module in pkgutil.walk_packages(cbspec_conformance.relay.__path__, "cbspec_conformance.relay.")
    ]
    context.set_forkserver_preload(
        [
            "cbspec_conformance.runner.entry",
            "cbspec_conformance.runner.plugin",
            "cbspec_simulator.app.command",
            *cases,
            __name__,
        ]
    )
    return context


@contextlib.contextmanager
def forked_relay(context: ForkServerContext, folder: Path, *options: str) -> Iterator[Path]:
    """Start a simulator in a forked process, yield its profile in `folder`, and stop it. Raises NoResults."""
    profile = folder / "profile.toml"
    ready, output = context.Pipe(duplex=False)
    command = ("simulate", "--port", "0", "--json", "--profile-out", str(profile), *options)
    process = context.Process(target=_serve, args=(command, output, folder))
    process.start()
    output.close()
    try:
        if not (ready.poll(_START) and os.read(ready.fileno(), 1)):
            log = (folder / "relay.log").read_text(errors="replace")
            raise NoResults(f"the relay doesn't start: {log.strip()[-300:]}")
        yield profile
    finally:
        ready.close()
        process.terminate()
        process.join(_GRACE)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(command: Sequence[str], output: Connection, folder: Path) -> None:
    log = os.open(folder / "relay.log", os.O_CREAT | os.O_WRONLY, 0o600)
    os.dup2(output.fileno(), 1)
    os.dup2(log, 2)
    output.close()
    os.chdir(folder)
    sys.exit(main(command))


def results(context: ForkServerContext, folder: Path, patience: float, *arguments: str) -> dict[str, Any]:
    """Return the results of a run that may take `patience` seconds.

    Raises NoResults if there are none, or if its transcript gives other verdicts.
    """
    file, transcript = folder / "results.json", folder / "transcript.jsonl"
    options = ("--results", str(file), "--transcript", str(transcript), *arguments)
    process = context.Process(target=_run, args=(options, folder))
    process.start()
    process.join(patience)
    if process.is_alive():
        process.kill()
        process.join()
        raise NoResults(f"the run took more than {patience:.0f} s")
    if not file.exists():
        lines = (folder / "suite.log").read_text(errors="replace").strip().splitlines()
        raise NoResults(f"exit code {process.exitcode}: {lines[-1] if lines else 'no output'}")
    found = dict(json.loads(file.read_text(encoding="utf-8")))
    if difference := _difference(found, folder / "rejudged.json"):
        raise NoResults(f"the transcript gives another verdict: {difference}")
    return found


def _difference(run: dict[str, Any], rejudged: Path) -> str:
    """Return the first difference between the verdicts of a run and those recomputed from its transcript."""
    again = json.loads(rejudged.read_text(encoding="utf-8")) if rejudged.exists() else {"requirements": {}}
    for name, verdict in run["requirements"].items():
        one, other = _verdict(verdict), _verdict(again["requirements"].get(name, {}))
        if one != other:
            return f"{name}: {one} and {other}"
    return "" if run["green"] == again["green"] else f"green: {run['green']} and {again['green']}"


def _verdict(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict without the exchanges as text: a transcript cuts long messages."""
    findings = [{**finding, "exchange": ""} for finding in verdict.get("findings", ())]
    return {**verdict, "findings": findings}


def _run(arguments: Sequence[str], folder: Path) -> None:
    file = os.open(folder / "suite.log", os.O_CREAT | os.O_WRONLY, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["XDG_CACHE_HOME"] = str(folder)  # runs share no saved failures
    code = pytest.main(["-c", str(SUITE / "pytest.ini"), "-p", "no:cacheprovider", "-p", "no:randomly", *arguments])
    if (transcript := folder / "transcript.jsonl").exists():
        write_results(SavedRun.load(transcript).result(), folder / "rejudged.json")
    sys.exit(code)
