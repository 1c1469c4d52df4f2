"""`cbspec replay`: whether a failure is still there.

Exit codes: 0 all are fixed, 1 one is still failing, 2 wrong usage or a file that can't be used, 3 nothing can be said.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from cbspec.catalogue.requirements import find
from cbspec.errors import CommandError
from cbspec.profile.profile import Endpoint, Profile, load, resolve
from cbspec_conformance.failures.failure import Failure, FailureFileError
from cbspec_conformance.failures.failure import load as load_failure
from cbspec_conformance.replay.export import NotExportable, environment, export
from cbspec_conformance.replay.outcome import ReplayOutcome, ReplayVerdict
from cbspec_conformance.replay.replay import Replayer, replay
from cbspec_conformance.target.preflight import NoTarget

_STILL_FAILING, _CAN_T_TELL = 1, 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec replay`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a failure file, or a folder of them")
    parser.add_argument(
        "--export",
        type=Path,
        metavar="SCRIPT",
        help="write a script of the standard library alone that shows the failure (of one file; it is tried first)",
    )
    parser.add_argument("--target", metavar="HOST:PORT", help="the relay (default: the profile's address)")
    parser.add_argument("--target-profile", type=Path, metavar="FILE", help="what the kit may know of it (TOML)")


def run(args: argparse.Namespace) -> int:
    """Run failures again; 0 where all are fixed."""
    failures = dict(_failures(args.files))
    profile = _profile(args.target, args.target_profile)
    if args.export is not None:
        _check_export(args.export, len(failures))
    options = [f"--{name}={value}" for name, value in _named(args)]
    relay: Replayer | None = None
    try:
        relay = Replayer(profile)
        outcomes = replay(relay, list(failures.values()), options)
    except NoTarget as error:
        outcomes = [ReplayOutcome(ReplayVerdict.UNCLEAR, str(error))] * len(failures)
    for (file, failure), outcome in zip(failures.items(), outcomes, strict=True):
        print("\n".join(report(file, failure, outcome)))
        if args.export is not None:
            print(_export(relay, failure, outcome, args.export))
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[ReplayOutcome]) -> int:
    """Return 1 where a failure is still there, else 3 where nothing can be said of one, else 0."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if ReplayVerdict.FAILING in verdicts:
        return _STILL_FAILING
    return _CAN_T_TELL if ReplayVerdict.UNCLEAR in verdicts else 0


def report(file: Path, failure: Failure, outcome: ReplayOutcome) -> Iterator[str]:
    """Yield what is to be said of one failure, a line at a time."""
    row = find(failure.requirement)
    yield f"{file}: {row.id} {row.level}"
    yield from textwrap.wrap(row.demand, 110, initial_indent="  ", subsequent_indent="  ")
    for line in outcome.exchange.splitlines():
        yield f"    {line}"
    yield f"  {outcome.verdict}: {outcome.reason}"
    yield ""


def _check_export(script: Path, count: int) -> None:
    """Raise CommandError where no script can be written."""
    if count != 1:
        raise CommandError(f"--export: a script shows one failure, and {count} are named; name one file")
    if script.exists():
        raise CommandError(f"--export: {script} exists; name another file")


def _export(relay: Replayer | None, failure: Failure, outcome: ReplayOutcome, script: Path) -> str:
    """Write the script and say how to run it, or say why there is none."""
    if relay is None or outcome.verdict is not ReplayVerdict.FAILING:
        return f"{script}: not written, since the failure isn't seen on this relay"
    target = relay.target()
    try:
        export(failure, target, script)
    except NotExportable as error:
        return f"{script}: not written: {error}"
    finally:
        target.close()
    needs = ", ".join(name for name in environment(relay.profile) if name in ("CBSPEC_CA", "CBSPEC_SECRET"))
    told = f" (set {needs}; its head says what else it takes)" if needs else ""
    return f"{script}: shows the failure: python3 {script} {target.endpoint}{told}"


def _named(args: argparse.Namespace) -> Iterator[tuple[str, object]]:
    if args.target:
        yield "target", args.target
    if args.target_profile:
        yield "target-profile", args.target_profile


def _failures(paths: Sequence[Path]) -> Iterator[tuple[Path, Failure]]:
    """Yield the failures of files and folders. Raises CommandError where one can't be used."""
    for path in paths:
        files = sorted(path.glob("CB-*.json")) if path.is_dir() else [path]
        if not files:
            raise CommandError(f"{path}: the folder holds no failure file (CB-….json)")
        for file in files:
            try:
                yield file, load_failure(file)
            except FailureFileError as error:
                raise CommandError(str(error)) from None


def _profile(target: str | None, file: Path | None) -> Profile:
    try:
        address = Endpoint.parse(target) if target else None
    except ValueError as error:
        raise CommandError(f"--target: {error}") from None
    return resolve(load(file) if file else None, address)
