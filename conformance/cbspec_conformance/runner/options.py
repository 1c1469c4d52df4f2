"""The suite's options on pytest's command line."""

from __future__ import annotations

import os
import secrets
import shlex
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cbspec.catalogue.requirements import CATALOGUE, UnknownRequirement, find
from cbspec.catalogue.revisions import PRESENT, CatalogueRevision, UnknownRevision, revision
from cbspec.keylog import HELP, KeyLogUnusable, use_key_log
from cbspec.profile.profile import Endpoint, Profile, ProfileError, load, resolve
from cbspec.profile.target import Transport
from cbspec.redact import redact
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, EffortPlan
from cbspec_conformance.reporting.baseline import Baseline, BaselineError, load_baseline
from cbspec_conformance.reporting.formats import AGAINST, FORMATS, add_report_options

_LONGEST = 600.0  # seconds: a relay that is slow or leaks capacity must not hold a pipeline for an hour
_BOUND = f"end the run after this time, with a report (default: {_LONGEST:.0f}, or longer for more examples)"


_DEFAULTS: Final[dict[str, object]] = {}  # of the options, by name


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run. `target` None: the profile's address, or the embedded simulator. Times in seconds.

    `reports` are the files and folders of the wanted reports by the names of their formats, `against` is the stream of
    an earlier run, and `given` are the options that differ from their defaults, as text by name.
    """

    target: Endpoint | None
    profile_file: Path | None
    transport: Transport | None
    only: tuple[str, ...]
    own_cases: bool
    wait: float
    max_time: float
    fail_on_should: bool
    require_all: bool
    plan: EffortPlan
    shuffle: int | None
    results: Path | None
    reports: dict[str, Path]
    against: Path | None
    given: dict[str, str]
    fingerprint: Path | None
    failures: Path | None
    baseline: Baseline
    write_baseline: Path | None
    exchanges: int
    jobs: int | None
    costs: int
    catalogue: CatalogueRevision


def add_options(parser: pytest.Parser) -> None:
    """Register the options with pytest."""
    group = parser.getgroup("cbspec", "CloudBridge Relay conformance")

    def add(name: str, **settings: Any) -> None:  # noqa: ANN401 - argparse's own settings
        _DEFAULTS[name] = settings.get("default", False if settings.get("action") == "store_true" else None)
        group.addoption(name, **settings)

    add("--target", metavar="HOST:PORT", help="relay to judge (default: an embedded simulator)")
    add("--target-profile", metavar="FILE", help="profile of the relay: tokens, tenants and limits (TOML)")
    add("--transport", choices=("auto", "tcp", "websocket"), help="transport of the cases (default: the profile's)")
    add("--only", action="append", default=[], metavar="ID", help="judge this requirement alone (repeatable)")
    own = "with --only, skip the cases of other requirements that may break it: faster, but no pass is shown"
    add("--own-cases", action="store_true", help=own)
    add("--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait for the relay to start (default: 0)")
    add("--max-time", type=_seconds, metavar="SECONDS", help=_BOUND)
    add("--fail-on", choices=("must", "should"), default="must", help="lowest level that fails the run (default: must)")
    add("--require-all", action="store_true", help="fail the run if a MUST was not exercised")
    add("--effort", choices=tuple(EFFORTS), default=DEFAULT.name, help="amount of property testing (default: default)")
    add("--examples", type=_count, metavar="N", help="examples of each property (default: set by --effort)")
    add("--seed", type=_seed, default=0, metavar="N|random", help="random seed of the properties (default: 0)")
    shuffled = "run the cases in a random order; the report shows the seed, which repeats it (default: a fixed order)"
    add("--shuffle", type=_seed, nargs="?", const="random", metavar="SEED", help=shuffled)
    add("--failures", metavar="FOLDER", help="write each failure to a file in this folder, for cbspec replay")
    add("--exchanges", type=_count, default=1, metavar="N", help="exchanges to show for each requirement (default: 1)")
    add(
        "--jobs",
        type=_count,
        metavar="N",
        help="cases to run at once (default: by the relay's distance and limits)",
    )
    add("--costs", type=_count, default=0, metavar="N", help="show the N most expensive cases: round trips and seconds")
    add("--results", metavar="FILE", help="write the run as it happens, for cbspec report and judge (JSON Lines)")
    add_report_options(add)
    add("--catalogue", metavar="REVISION", help=f"judge by this revision of the catalogue (default: {CATALOGUE})")
    add("--baseline", metavar="FILE", help="known failures, which do not fail the run (TOML)")
    add("--write-baseline", metavar="FILE", help="write the failures of this run as a baseline (TOML)")
    add("--keylog", type=Path, metavar="FILE", help=HELP)
    add("--fingerprint", metavar="FILE", help="write the relay's behaviour where the specification is silent (JSON)")


def read_options(config: pytest.Config) -> Options:
    """Return the options. Raises pytest.UsageError if one is invalid."""
    try:
        use_key_log(config.getoption("--keylog"))
    except KeyLogUnusable as error:
        raise pytest.UsageError(str(error)) from None
    target = config.getoption("--target")
    profile_file = config.getoption("--target-profile")
    catalogue = _catalogue(config.getoption("--catalogue"))
    effort = EFFORTS[config.getoption("--effort")]
    plan = EffortPlan(effort, config.getoption("--examples") or effort.examples, config.getoption("--seed"))
    return Options(
        target=_endpoint(target) if target is not None else None,  # an empty address is an error
        profile_file=Path(profile_file) if profile_file else None,
        transport=config.getoption("--transport"),
        only=tuple(_only(config.getoption("--only"), catalogue)),
        own_cases=config.getoption("--own-cases"),
        wait=config.getoption("--wait"),
        max_time=_longest(config.getoption("--max-time"), plan),
        fail_on_should=config.getoption("--fail-on") == "should",
        require_all=config.getoption("--require-all"),
        plan=plan,
        shuffle=_seed(shuffle) if isinstance(shuffle := config.getoption("--shuffle"), str) else shuffle,
        results=_writable("--results", config.getoption("--results")),
        reports=_reports(config),
        against=_existing(AGAINST[0], config.getoption(AGAINST[0])),
        given=_given(config),
        fingerprint=_writable("--fingerprint", config.getoption("--fingerprint")),
        failures=folder("--failures", config.getoption("--failures")),
        baseline=_baseline(config.getoption("--baseline")),
        write_baseline=_new_baseline(config.getoption("--write-baseline"), config.getoption("--baseline")),
        exchanges=config.getoption("--exchanges"),
        jobs=config.getoption("--jobs"),
        costs=config.getoption("--costs"),
        catalogue=catalogue,
    )


def _reports(config: pytest.Config) -> dict[str, Path]:
    """Return the wanted reports. The file of pytest's own --junit-xml gets ours, which knows the verdicts."""
    option = config.option
    option.junit, option.xmlpath = option.junit or getattr(option, "xmlpath", None), None
    found: dict[str, Path] = {}
    for each in FORMATS:
        name = config.getoption(each.option)
        path = folder(each.option, name) if each.is_folder else _writable(each.option, name)
        if path is not None:
            found[each.name] = path
    return found


def _existing(option: str, file: str | None) -> Path | None:
    if file is not None and not Path(file).is_file():
        raise pytest.UsageError(f"{option}: {file} is not a file; name the results of an earlier run")
    return Path(file) if file is not None else None


def _given(config: pytest.Config) -> dict[str, str]:
    """Return the options that differ from their defaults and influence the run."""
    outputs = {"--results", "--fingerprint", "--failures", "--write-baseline", *(each.option for each in FORMATS)}
    values = {name: config.getoption(name) for name in _DEFAULTS if name not in {*outputs, AGAINST[0]}}
    return {name: _shown(value) for name, value in values.items() if value not in (None, [], _DEFAULTS[name])}


def _shown(value: object) -> str:
    return "" if value is True else redact(", ".join(value) if isinstance(value, list) else str(value))


def relay_options(options: Options) -> list[str]:
    """Return the options that name the relay, as a user can paste them."""
    named = (("--target", options.target), ("--target-profile", options.profile_file))
    return [word for option, value in named if value is not None for word in (option, str(value))]


def command(options: Options) -> str:
    """Return the command that runs the suite on the same relay with the same examples."""
    plan = options.plan
    words = ["cbspec", "verify", *relay_options(options)]
    words += ["--transport", options.transport] if options.transport else []
    words += ["--effort", plan.effort.name] if plan.effort is not DEFAULT else []
    words += ["--examples", str(plan.examples)] if plan.examples != plan.effort.examples else []
    words += ["--seed", str(plan.seed)] if plan.seed else []
    words += [] if options.catalogue.is_present else ["--catalogue", options.catalogue.name]
    return shlex.join(words)


def _longest(given: float | None, plan: EffortPlan) -> float:
    return _LONGEST * max(1.0, plan.examples / DEFAULT.examples) if given is None else given


def case_options(options: Options) -> tuple[str, ...]:
    """Return the options that make a case repeat the same exchanges."""
    transport = (f"--transport={options.transport}",) if options.transport else ()
    plan = options.plan
    return (f"--effort={plan.effort.name}", f"--examples={plan.examples}", f"--seed={plan.seed}", *transport)


def read_profile(options: Options) -> Profile | None:
    """Return the profile of the relay to judge, or None for the embedded simulator.

    Raises pytest.UsageError if the profile is invalid.
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


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--target: {error}") from None


def _writable(option: str, file: str | None) -> Path | None:
    """Return the file's path; check it before the run, so that no results are lost."""
    if file is None:
        return None
    path = Path(file)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise pytest.UsageError(f"{option}: cannot write {file}; name a file in an existing folder")
    return path


def folder(option: str, name: str | None) -> Path | None:
    """Return an option's folder, which is made if it doesn't exist. Raises pytest.UsageError."""
    if name is None:
        return None
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"{option}: {error.filename}: {error.strerror}; name another folder") from None
    if not os.access(path, os.W_OK):
        raise pytest.UsageError(f"{option}: cannot write to {name}; name another folder")
    return path


def _baseline(file: str | None) -> Baseline:
    try:
        return load_baseline(Path(file)) if file else Baseline()
    except BaselineError as error:
        raise pytest.UsageError(f"--baseline: {error}") from None


def _new_baseline(file: str | None, old: str | None) -> Path | None:
    path = _writable("--write-baseline", file)
    if path is not None and path.exists() and (old is None or not path.samefile(old)):
        raise pytest.UsageError(
            f"--write-baseline: {file} exists; add --baseline {file} to update it and keep its reasons"
        )
    return path


def _catalogue(name: str | None) -> CatalogueRevision:
    try:
        return revision(name) if name is not None else PRESENT
    except UnknownRevision as error:
        raise pytest.UsageError(f"--catalogue: {error}") from None


def _only(wanted: list[str], catalogue: CatalogueRevision) -> list[str]:
    found = []
    for name in (name.strip() for text in wanted for name in text.split(",")):
        try:
            row = find(name)
        except UnknownRequirement as error:
            raise pytest.UsageError(f"--only: {error}") from None
        if row.id not in catalogue.requirements:
            raise pytest.UsageError(
                f"--only: {row.id} is newer than --catalogue {catalogue.name}; leave out one of them"
            )
        if row.untestable:
            raise pytest.UsageError(f"--only: {row.id} has no case: {row.untestable}")
        found.append(row.id)
    return found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
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
