"""The suite's options on pytest's command line, and what they come to."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import UnknownRequirement, find
from cbspec.profile.profile import Endpoint, Profile, ProfileError, load, resolve
from cbspec.profile.target import Transport
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, EffortPlan
from cbspec_conformance.reporting.baseline import Baseline, BaselineError, load_baseline


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `target` None: judge the embedded simulator. Times in seconds."""

    target: Endpoint | None
    profile_file: Path | None
    transport: Transport | None
    only: tuple[str, ...]
    wait: float
    max_time: float | None
    fail_on_should: bool
    require_all: bool
    plan: EffortPlan
    results: Path | None
    fingerprint: Path | None
    failures: Path | None
    baseline: Baseline
    write_baseline: Path | None


def add_options(parser: pytest.Parser) -> None:
    """Register the options with pytest."""
    group = parser.getgroup("cbspec", "CloudBridge Relay conformance")
    group.addoption("--target", metavar="HOST:PORT", help="the relay to judge (default: an embedded simulator)")
    group.addoption("--target-profile", metavar="FILE", help="what the suite may know of the relay (TOML)")
    group.addoption(
        "--transport", choices=("auto", "tcp", "websocket"), help="what the cases speak (default: the profile's)"
    )
    group.addoption("--only", action="append", default=[], metavar="ID", help="exercise this requirement (repeatable)")
    group.addoption("--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait for the relay to be there")
    group.addoption("--max-time", type=_seconds, metavar="SECONDS", help="end the run in time with what it has")
    group.addoption(
        "--fail-on", choices=("must", "should"), default="must", help="which level fails the run (default: must)"
    )
    group.addoption("--require-all", action="store_true", help="fail where a MUST was not exercised")
    group.addoption(
        "--effort", choices=tuple(EFFORTS), default=DEFAULT.name, help="how hard properties try (default: default)"
    )
    group.addoption("--examples", type=_count, metavar="N", help="examples of each property, instead of the effort's")
    group.addoption("--seed", type=_seed, default=0, metavar="N|random", help="where values come from (default: 0)")
    group.addoption("--failures", metavar="FOLDER", help="write a file per failure, for cbspec replay")
    group.addoption("--results", metavar="FILE", help="write the verdict on every requirement as JSON")
    group.addoption("--baseline", metavar="FILE", help="failures that are known and don't fail the run (TOML)")
    group.addoption("--write-baseline", metavar="FILE", help="write this run's failures as a baseline")
    group.addoption("--fingerprint", metavar="FILE", help="write what the relay does where the page is silent, as JSON")


def read_options(config: pytest.Config) -> Options:
    """Return the options. Raises pytest.UsageError where one can't be used."""
    target = config.getoption("--target")
    profile_file = config.getoption("--target-profile")
    return Options(
        target=_endpoint(target) if target is not None else None,  # an empty one is a mistake, and no relay of ours
        profile_file=Path(profile_file) if profile_file else None,
        transport=config.getoption("--transport"),
        only=tuple(_only(config.getoption("--only"))),
        wait=config.getoption("--wait"),
        max_time=config.getoption("--max-time"),
        fail_on_should=config.getoption("--fail-on") == "should",
        require_all=config.getoption("--require-all"),
        plan=_plan(config),
        results=_writable("--results", config.getoption("--results")),
        fingerprint=_writable("--fingerprint", config.getoption("--fingerprint")),
        failures=_folder("--failures", config.getoption("--failures")),
        baseline=_baseline(config.getoption("--baseline")),
        write_baseline=_new_baseline(config.getoption("--write-baseline"), config.getoption("--baseline")),
    )


def case_options(options: Options) -> tuple[str, ...]:
    """Return the options by which a case does the same again."""
    transport = (f"--transport={options.transport}",) if options.transport else ()
    plan = options.plan
    return (f"--effort={plan.effort.name}", f"--examples={plan.examples}", f"--seed={plan.seed}", *transport)


def read_profile(options: Options) -> Profile | None:
    """Return the profile of the relay to judge, or None where none is named: then it is the embedded simulator.

    Raises pytest.UsageError where the profile can't be used.
    """
    try:
        profile = load(options.profile_file) if options.profile_file else None
        if options.target is None and (profile is None or profile.target.address is None):
            if profile is not None:
                raise pytest.UsageError(f"{profile.path}: give target.address there, or --target host:port")
            return None
        return resolve(profile, options.target)
    except ProfileError as error:
        raise pytest.UsageError(str(error)) from None


def _plan(config: pytest.Config) -> EffortPlan:
    effort = EFFORTS[config.getoption("--effort")]
    return EffortPlan(effort, config.getoption("--examples") or effort.examples, config.getoption("--seed"))


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--target: {error}") from None


def _writable(option: str, file: str | None) -> Path | None:
    """Return the file's path; said before the run, not after it, where it can't be written."""
    if file is None:
        return None
    path = Path(file)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise pytest.UsageError(f"{option}: {file} can't be written; name a file in a folder that exists")
    return path


def _folder(option: str, name: str | None) -> Path | None:
    """Return the folder's path, the folder made; said before the run, not after it, where it can't be."""
    if name is None:
        return None
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(
            f"{option}: {error.filename}: {error.strerror}; name a folder for failure files"
        ) from None
    if not os.access(folder, os.W_OK):
        raise pytest.UsageError(f"{option}: {name} can't be written to; name another folder")
    return folder


def _baseline(file: str | None) -> Baseline:
    try:
        return load_baseline(Path(file)) if file else Baseline()
    except BaselineError as error:
        raise pytest.UsageError(f"--baseline: {error}") from None


def _new_baseline(file: str | None, old: str | None) -> Path | None:
    path = _writable("--write-baseline", file)
    if path is not None and path.exists() and (old is None or not path.samefile(old)):
        raise pytest.UsageError(
            f"--write-baseline: {file} exists: give --baseline {file} besides to update it, which keeps its reasons"
        )
    return path


def _only(wanted: list[str]) -> list[str]:
    found = []
    for text in wanted:
        for name in text.split(","):
            try:
                row = find(name.strip())
            except UnknownRequirement as error:
                raise pytest.UsageError(f"--only: {error}") from None
            if row.untestable:
                raise pytest.UsageError(f"--only: {row.id} has no case: {row.untestable}")
            found.append(row.id)
    return found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"must be a number of 1 or more, not {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(2**32)
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"must be a whole number or random, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"must be a number of seconds, not {text!r}")
    return value
