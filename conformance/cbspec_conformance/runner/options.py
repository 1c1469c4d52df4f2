"""The suite's options on pytest's command line."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shlex
import socket
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from cbspec.catalogue.requirements import CATALOGUE, JudgedRole, Level, UnknownRequirement, find
from cbspec.catalogue.revisions import PRESENT, CatalogueRevision, UnknownRevision, revision
from cbspec.errors import CommandError
from cbspec.keylog import KeyLogUnusable, use_key_log
from cbspec.options import (
    CA,
    COUNT,
    FAIL_ON,
    FILE,
    FOLDER,
    ID,
    KEY_LOG,
    RELAY,
    SECONDS,
    TRANSPORT,
    WAIT,
    ChosenCA,
    Option,
    ValueKind,
    with_trust,
)
from cbspec.profile.profile import Endpoint, Profile, ProfileError, load, resolve
from cbspec.profile.target import Transport
from cbspec.redact import redact
from cbspec_conformance.properties.effort import DEFAULT, EFFORTS, EffortPlan
from cbspec_conformance.reporting.baseline import Baseline, BaselineError, load_baseline
from cbspec_conformance.reporting.formats import AGAINST, FORMATS, REPORTS

_LONGEST: Final = 600.0  # seconds: a relay that is slow or leaks capacity must not hold a pipeline for an hour
_NEVER_OUTGOING: Final = range(20_000, 32_768)  # ports that no usual system gives to an outgoing connection
_TRIES: Final = 20
_WHOLE: Final = ValueKind("N", lambda text: _seed(text))

PLACEHOLDERS: Final[Mapping[str, str]] = {
    "host": "the address to listen on",
    "port": "the port to listen on: that of HOST:PORT, or a free one",
    "cert": "a certificate of the development CA for that address (PEM)",
    "key": "the certificate's private key (PEM)",
    "secret": "the development secret, which signs the tokens (HS256)",
}
"""What the relay's command may contain in braces."""

RELAY_COMMAND: Final = Option(
    "--relay-command", "start the relay by this command line, as -- does", ValueKind("COMMAND")
)
RELAY_LOG: Final = Option("--relay-log", "write the output of the relay that -- COMMAND starts", FILE)

GROUPS: Final[Mapping[str, tuple[Option, ...]]] = {
    "the relay": (*RELAY, TRANSPORT, WAIT, RELAY_COMMAND, RELAY_LOG),
    "what is judged": (
        Option("--only", "judge this requirement alone", ID, repeatable=True),
        Option("--chapter", "judge the requirements of this chapter, such as TUN", ID, repeatable=True),
        Option("--level", "judge the requirements of this level", choices=[*map(str.lower, Level)], repeatable=True),
        Option(
            "--own-cases",
            "skip the cases of other requirements, which may break a selected one, too: faster, but no pass is shown",
        ),
    ),
    "the verdict": (
        FAIL_ON,
        Option("--require-all", "fail the run if a MUST was not exercised"),
        Option("--catalogue", "judge by this revision of the catalogue", ValueKind("REVISION"), default_text=CATALOGUE),
        Option("--baseline", "known failures, which do not fail the run (TOML)", FILE),
        Option("--write-baseline", "write the failures of this run as a baseline (TOML)", FILE),
    ),
    "the run": (
        Option(
            "--max-time",
            "end the run after this time, with a report",
            SECONDS,
            default_text=f"{_LONGEST:.0f}, or longer for more examples",
        ),
        Option("--fail-fast", "end the run after the first failed requirement, with a report", short=("-x",)),
        Option("--effort", "amount of property testing", choices=tuple(EFFORTS), default=DEFAULT.name),
        Option("--examples", "examples of each property", COUNT, default_text="set by --effort"),
        Option("--seed", "seed of the properties, or random for another one", _WHOLE, default=0),
        Option(
            "--shuffle",
            "run the cases in a random order; the report shows the seed, which repeats it",
            _WHOLE,
            default_text="a fixed order",
            without="random",
        ),
        Option("--jobs", "cases to run at once", COUNT, default_text="by the relay's distance and limits"),
    ),
    "reports": (
        Option("--results", "write the run as it happens, for cbspec report and judge (JSON Lines)", FILE),
        *REPORTS,
        Option("--pcapng", "write the connections of failing cases with their keys, for Wireshark", FILE),
        KEY_LOG,
        Option("--failures", "write each failure to a file in this folder, for cbspec replay", FOLDER),
        Option("--fingerprint", "write the relay's behaviour where the specification is silent (JSON)", FILE),
        Option("--exchanges", "exchanges to show for each requirement", COUNT, default=1),
        Option("--costs", "show the N most expensive cases: round trips and seconds", COUNT, default=0),
    ),
}
"""The options of a run, in the groups of `cbspec verify --help`. `read_options` reads each."""


class Verbosity(IntEnum):
    """How much a run prints: the number of -v, less that of -q."""

    QUIET = -1
    USUAL = 0
    EXCHANGES = 1
    WHOLE_EXCHANGES = 2

    @classmethod
    def take(cls, config: pytest.Config) -> Verbosity:
        """Return what the options say, and tell pytest to leave the display to this module."""
        option = config.option
        if not hasattr(option, "cbspec_verbosity"):  # xdist's workers receive it
            option.cbspec_verbosity = max(min(option.verbose, cls.WHOLE_EXCHANGES), cls.QUIET)
            option.tbstyle, option.reportchars = "no", "N"
            if not option.collectonly:
                option.verbose = -1
        return cls(option.cbspec_verbosity)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run. `target` None: the profile's address, or the embedded simulator. Times in seconds.

    `reports` are the files and folders of the wanted reports by the names of their formats, `against` is the stream of
    an earlier run, and `given` are the options that differ from their defaults, as text by name.
    """

    target: Endpoint | None
    profile_file: Path | None
    ca: ChosenCA | None
    token_file: Path | None
    transport: Transport | None
    only: tuple[str, ...]
    own_cases: bool
    wait: float
    relay_command: str
    relay_log: Path | None
    max_time: float
    fail_fast: bool
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
    pcapng: Path | None
    exchanges: int
    jobs: int | None
    costs: int
    catalogue: CatalogueRevision


def add_options(parser: pytest.Parser) -> None:
    """Register the options with pytest."""
    register(parser, "cbspec", (row for rows in GROUPS.values() for row in rows))


def register(parser: pytest.Parser, group: str, rows: Iterable[Option]) -> None:
    """Register rows of the table with pytest; values are texts and numbers there, which xdist can send to workers."""
    add = parser.getgroup(group, "CloudBridge Relay conformance").addoption
    for row in rows:
        if row.name.startswith("-"):
            settings = row.settings() | ({"type": partial(_plain, row.value)} if row.value else {})
            add(row.in_pytest or row.name, **settings)


def _plain(kind: ValueKind, text: str) -> str | int | float:
    value = kind.read(text)
    return value if isinstance(value, (int, float)) else text


def read_options(config: pytest.Config, role: JudgedRole = JudgedRole.RELAY) -> Options:
    """Return the options of a run that judges a relay or a client. Raises pytest.UsageError if one is invalid.

    The file of pytest's own --junit-xml gets our report, which knows the verdicts.
    """
    config.option.junit, config.option.xmlpath = config.option.junit or getattr(config.option, "xmlpath", None), None
    return options_of(config.getoption, role)


def options_of(given: Callable[[str], Any], role: JudgedRole = JudgedRole.RELAY) -> Options:
    """Return the options that a function gives by their names in pytest. Raises pytest.UsageError if one is invalid."""
    key_log = given("--keylog")
    try:
        use_key_log(Path(key_log) if key_log else None)
    except KeyLogUnusable as error:
        raise pytest.UsageError(str(error)) from None
    target, token_file = given("--target"), given("--token-file")
    profile_file, ca = given("--target-profile"), given("--ca")
    catalogue = _catalogue(given("--catalogue"))
    effort = EFFORTS[given("--effort")]
    plan = EffortPlan(effort, given("--examples") or effort.examples, given("--seed"))
    return Options(
        target=Endpoint.parse(target) if target else None,
        profile_file=Path(profile_file) if profile_file else None,
        ca=CA.read(ca) if ca else None,
        token_file=Path(token_file) if token_file else None,
        transport=given("--transport"),
        only=_selected(given, catalogue, role),
        own_cases=given("--own-cases"),
        wait=given("--wait"),
        relay_command=given("--relay-command") or "",
        relay_log=_writable("--relay-log", given("--relay-log")),
        max_time=_longest(given("--max-time"), plan),
        fail_fast=given("--fail-fast"),
        fail_on_should=given("--fail-on") == "should",
        require_all=given("--require-all"),
        plan=plan,
        shuffle=_seed(shuffle) if isinstance(shuffle := given("--shuffle"), str) else shuffle,
        results=_writable("--results", given("--results")),
        reports=_reports(given),
        against=_existing(AGAINST.name, given(AGAINST.name)),
        given=_given(given),
        fingerprint=_writable("--fingerprint", given("--fingerprint")),
        failures=folder("--failures", given("--failures")),
        baseline=_baseline(given("--baseline")),
        write_baseline=_new_baseline(given("--write-baseline"), given("--baseline")),
        pcapng=_writable("--pcapng", given("--pcapng")),
        exchanges=given("--exchanges"),
        jobs=given("--jobs"),
        costs=given("--costs"),
        catalogue=catalogue,
    )


def _reports(given: Callable[[str], Any]) -> dict[str, Path]:
    """Return the wanted reports."""
    found: dict[str, Path] = {}
    for each in FORMATS:
        name = given(each.option)
        path = folder(each.option, name) if each.is_folder else _writable(each.option, name)
        if path is not None:
            found[each.name] = path
    return found


def _existing(option: str, file: str | None) -> Path | None:
    if file is not None and not Path(file).is_file():
        raise pytest.UsageError(f"{option}: {file} is not a file; name the results of an earlier run")
    return Path(file) if file is not None else None


def _given(given: Callable[[str], Any]) -> dict[str, str]:
    """Return the options that differ from their defaults and influence the run."""
    outputs = {row.name for row in (*REPORTS, KEY_LOG)} | {
        "--results",
        "--fingerprint",
        "--pcapng",
        "--failures",
        "--write-baseline",
    }
    rows = [row for rows in GROUPS.values() for row in rows if row.name.startswith("-") and row.name not in outputs]
    values = [(row, given(row.in_pytest or row.name)) for row in rows]
    return {row.name: _shown(value) for row, value in values if value not in (None, [], False, row.default)}


def _shown(value: object) -> str:
    return "" if value is True else redact(", ".join(value) if isinstance(value, list) else str(value))


def relay_options(options: Options) -> list[str]:
    """Return the options that name the relay, as a user can paste them."""
    named = (
        ("--target", options.target),
        ("--profile", options.profile_file),
        ("--ca", options.ca),
        ("--token-file", options.token_file),
    )
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
    return shlex.join(words) + (f" -- {options.relay_command}" if options.relay_command else "")


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
        target = options.target
        if options.relay_command and target is None and (profile is None or profile.target.address is None):
            target = free_endpoint()
        if target is None and (profile is None or profile.target.address is None):
            if profile is not None:
                raise pytest.UsageError(f"{profile.path}: give target.address there, or --target host:port")
            if options.ca or options.token_file:
                raise pytest.UsageError("--ca and --token-file need a relay: give its address, host:port")
            return None
        return resolve(with_trust(profile, options.ca, options.token_file), target)
    except (ProfileError, CommandError) as error:
        raise pytest.UsageError(str(error)) from None


def free_endpoint() -> Endpoint:
    """Return a loopback address with a port that is free now, and that no outgoing connection takes meanwhile."""
    for port in random.sample(_NEVER_OUTGOING, _TRIES):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return Endpoint("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Endpoint("127.0.0.1", server.getsockname()[1])


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


def _selected(given: Callable[[str], Any], catalogue: CatalogueRevision, role: JudgedRole) -> tuple[str, ...]:
    """Return the ids that --only, --chapter and --level select together; none if all three are absent."""
    only, chapters = _only(given("--only"), catalogue), _split(given("--chapter"))
    levels, rows = given("--level"), catalogue.of(role)
    chapters = [chapter.partition("-")[2] or chapter for chapter in chapters]  # the table says CB-TUN
    known = dict.fromkeys(row.chapter for row in rows.values())
    for chapter in chapters:
        if chapter not in known:
            raise pytest.UsageError(f"--chapter: there is no {chapter!r}; the chapters are {', '.join(known)}")
    if not chapters and not levels:
        return tuple(only)
    found = [
        id_
        for id_ in only or [row.id for row in rows.values() if not row.untestable]
        if (not chapters or rows[id_].chapter in chapters) and (not levels or rows[id_].level.lower() in levels)
    ]
    if not found:
        raise pytest.UsageError("no requirement is selected by --only, --chapter and --level together")
    return tuple(found)


def _split(texts: list[str]) -> list[str]:
    return [name.strip().upper() for text in texts for name in text.split(",")]


def _only(wanted: list[str], catalogue: CatalogueRevision) -> list[str]:
    found = []
    for name in _split(wanted):
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


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(2**32)
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"must be a whole number or random, not {text!r}")
    return int(text)
