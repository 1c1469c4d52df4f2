"""`cbspec verify`: run the suite from an installed package, in any folder."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pytest

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.options import COUNT, FILE, Option, ValueKind, add_options, address_of
from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.runner.options import GROUPS, PLACEHOLDERS, RELAY_COMMAND

JUNIT: Final = Option("--junit-xml", "the same as --junit", FILE)
"""pytest's own name."""

OF_PYTEST: Final = {
    "what is judged": (
        Option("-k", "run the cases whose names match this expression", ValueKind("EXPRESSION")),
        Option("--collect-only", "list the selected cases, and exit"),
    ),
    "the run": (
        Option("-n", "run in N processes of pytest-xdist", COUNT, default_text="see --jobs"),
        Option("--pytest", "more options for pytest, for example --pytest='-p no:timeout'", ValueKind("OPTIONS")),
    ),
    "reports": (JUNIT,),
}
"""The options of pytest that `cbspec verify` has, too, by the group of its help."""

_EMBEDDED: Final = "the profile's, or an embedded simulator"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec verify`."""
    for title, rows in GROUPS.items():
        shown = [
            replace(row, default_text=_EMBEDDED) if row.name == "address" else row
            for row in rows
            if row is not RELAY_COMMAND
        ]
        add_options(parser.add_argument_group(title), [*shown, *OF_PYTEST.get(title, ())])
    add_verbosity(parser)
    parser.add_argument("started", nargs="*", metavar="-- COMMAND", help="start the relay, judge it, and stop it")
    listed = "\n".join(f"  {{{name}}}".ljust(12) + about for name, about in PLACEHOLDERS.items())
    parser.epilog = f"the relay's command may contain\n{listed}\nThe same values are in the environment: CBSPEC_PORT, …"


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add -q and -v, as pytest has them."""
    add = parser.add_argument_group("output").add_argument
    add("-q", "--quiet", action="count", default=0, help="print one line")
    add("-v", "--verbose", action="count", default=0, help="print each case and its exchanges")


def run(args: argparse.Namespace) -> int:
    """Run the suite and return its exit code."""
    args.target, args.address = address_of(args), None
    args.relay_command = shlex.join(args.started) or None
    rows = [row for part in (GROUPS, OF_PYTEST) for rows in part.values() for row in rows]
    return run_pytest(str(SUITE), rows, args)


def run_pytest(folder: str, rows: Iterable[Option], args: argparse.Namespace) -> int:
    """Run pytest in a folder of the suite with the options of a command line; return the exit code."""
    words: list[str] = []
    for row in rows:
        value = getattr(args, row.dest)
        if row.name == "--pytest":
            words += _split(value or "")
        else:
            words += row.words(value)
    words += ["-q"] * args.quiet + ["-v"] * args.verbose
    os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")  # of other packages: they are imported, and change nothing here
    code = pytest.main([*PYTEST_OPTIONS, folder, *words])
    # The suite can't choose the code of an interruption before its session has begun.
    return ExitCode.INTERRUPTED if code == pytest.ExitCode.INTERRUPTED else int(code)


def _split(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError as error:
        raise CommandError(f"--pytest: {error}: {options}") from None
