"""One run of the suite against one relay, each a process of its own, reached through a socket like any other.

Starting Python and importing pytest takes longer than most runs: the suite is forked from a process that has them.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import conformance.relay
from cbspec.cli import main as cbspec
from cbspec.cli.cases import find_cases
from tests.adequacy.matrix import Row, judge
from tests.adequacy.subjects import Kind, Subject

PATIENCE = 600.0
"""Seconds after which a run counts as hanging."""

_WORKERS = {"slow": ("-n", "6")}  # a relay that is waited for all the time is waited for by several

_EFFORT = {Kind.DEVIATION: "default"}  # the others are judged by the quick run


_SUITE = Path(conformance.__file__).parent


def fork_server() -> ForkServerContext:
    """Return the means to start suites quickly."""
    context = multiprocessing.get_context("forkserver")
    cases = [module.name for module in pkgutil.walk_packages(conformance.relay.__path__, "conformance.relay.")]
    context.set_forkserver_preload(["conformance.plugin", *cases, __name__])
    return context


def run(context: ForkServerContext, subject: Subject, transport: str) -> Row:
    """Judge one relay on one transport."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cbspec-adequacy-") as name:
        folder = Path(name)
        try:
            with _simulator(subject, folder) as profile:
                results = _judged(context, subject, transport, profile, folder)
        except RuntimeError as error:
            results = str(error)
    return judge(subject, transport, results, time.monotonic() - began)


@contextlib.contextmanager
def _simulator(subject: Subject, folder: Path) -> Iterator[Path]:
    profile = folder / "profile.toml"
    command = [sys.executable, "-m", "cbspec", "simulate", "--port", "0", "--json", "--profile-out", str(profile)]
    with (
        (folder / "simulator.log").open("w+b") as log,
        subprocess.Popen([*command, *subject.options], stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            if not (process.stdout and process.stdout.readline()):
                log.seek(0)
                raise RuntimeError(f"the simulator didn't start: {log.read().decode(errors='replace').strip()[-300:]}")
            yield profile
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _judged(
    context: ForkServerContext, subject: Subject, transport: str, profile: Path, folder: Path
) -> dict[str, Any] | str:
    results = folder / "results.json"
    arguments = [
        *("--target-profile", str(profile), "--transport", transport, "--results", str(results)),
        *("--effort", _EFFORT.get(subject.kind, "quick")),
        *_WORKERS.get(subject.id, ()),
        *(_own_cases(subject.requirement) if subject.kind is Kind.DEVIATION else ()),
    ]
    process = context.Process(target=_suite, args=(arguments, folder))
    process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return f"the run took more than {PATIENCE:.0f} s"
    if not results.exists():
        said = (folder / "suite.log").read_text(errors="replace").strip().splitlines()
        return f"exit code {process.exitcode}: {said[-1] if said else 'nothing was said'}"
    return dict(json.loads(results.read_text(encoding="utf-8")))


def _own_cases(requirement: str) -> tuple[str, ...]:
    """Return what selects the cases of a requirement; only their files are looked at, which is quicker."""
    files = {case.file for case in find_cases(_SUITE) if requirement in case.requirements}
    return ("--only", requirement, *(str(_SUITE / file) for file in sorted(files)))


def _suite(arguments: list[str], folder: Path) -> None:
    file = os.open(folder / "suite.log", os.O_CREAT | os.O_WRONLY, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["XDG_CACHE_HOME"] = str(folder)  # no run learns from the failures of another
    sys.exit(cbspec(["verify", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]))
