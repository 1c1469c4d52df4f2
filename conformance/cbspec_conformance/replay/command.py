"""`cbspec replay`: replay failures to see whether they are fixed."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from cbspec.catalogue.requirements import find
from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.options import RELAY, add_options, relay_profile
from cbspec.profile.profile import Profile
from cbspec_conformance.failures.failure import Failure, FailureFileError
from cbspec_conformance.failures.failure import load as load_failure
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.replay.replay import ReplayOutcome, ReplayVerdict, export, replay
from cbspec_conformance.replay.script import environment


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec replay`."""
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="failure file, or folder of failure files")
    add("--export", type=Path, metavar="SCRIPT", help="write a stand-alone Python script that shows the failure")
    add_options(parser.add_argument_group("the relay"), (row for row in RELAY if row.name != "address"))


def run(args: argparse.Namespace) -> int:
    """Replay failures; return the exit code."""
    failures = dict(_failures(args.files))
    profile = relay_profile(args.target, args.profile, args.ca, args.token_file)
    if args.export is not None:
        _check_export(args.export, len(failures))
    options = [word for row in RELAY if row is not RELAY[0] for word in row.words(getattr(args, row.dest))]
    try:
        outcomes = replay(list(failures.values()), profile, options)
    except Unreachable as error:
        outcomes = [ReplayOutcome(ReplayVerdict.UNCLEAR, f"nothing to judge: no connection to {error}")] * len(failures)
    for (file, failure), outcome in zip(failures.items(), outcomes, strict=True):
        print("\n".join(_report(file, failure, outcome)))
        if args.export is not None:
            print(_export(failure, profile, outcome, args.export))
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[ReplayOutcome]) -> int:
    """Return the exit code: not conforming if a failure still occurs, nothing to judge if one is undecided."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if ReplayVerdict.FAILING in verdicts:
        return ExitCode.NOT_CONFORMING
    return ExitCode.NOTHING_TO_JUDGE if ReplayVerdict.UNCLEAR in verdicts else ExitCode.SUCCESS


def _report(file: Path, failure: Failure, outcome: ReplayOutcome) -> Iterator[str]:
    row = find(failure.requirement)
    yield f"{file}: {row.id} {row.level}"
    yield from textwrap.wrap(row.demand, 110, initial_indent="  ", subsequent_indent="  ")
    for line in outcome.exchange.splitlines():
        yield f"    {line}"
    yield f"  {outcome.verdict}: {outcome.reason}"
    yield ""


def _check_export(script: Path, count: int) -> None:
    if count != 1:
        raise CommandError(f"--export: a script shows one failure, and there are {count}; name one file")
    if script.exists():
        raise CommandError(f"--export: {script} exists; name another file")


def _export(failure: Failure, profile: Profile, outcome: ReplayOutcome, script: Path) -> str:
    """Write the script; return the command that runs it, or the reason why there is none."""
    if outcome.verdict is not ReplayVerdict.FAILING:
        return f"{script}: not written, because the failure does not show on this relay"
    if reason := export(failure, profile, script):
        return f"{script}: not written: {reason}"
    needs = ", ".join(name for name in environment(profile) if name in ("CBSPEC_CA", "CBSPEC_SECRET"))
    hint = f" (set {needs}; the script's docstring lists more)" if needs else ""
    return f"{script}: shows the failure: python3 {script} {profile.target.address}{hint}"


def _failures(paths: Sequence[Path]) -> Iterator[tuple[Path, Failure]]:
    """Yield the failures of files and folders. Raises CommandError if one is invalid."""
    for path in paths:
        files = sorted(path.glob("CB-*.json")) if path.is_dir() else [path]
        if not files:
            raise CommandError(f"{path}: the folder holds no failure file (CB-….json)")
        for file in files:
            try:
                yield file, load_failure(file)
            except FailureFileError as error:
                raise CommandError(str(error)) from None
