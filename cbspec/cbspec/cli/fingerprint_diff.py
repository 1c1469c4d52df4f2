"""`cbspec fingerprint-diff`: compare two releases of a relay in the points that the specification leaves open."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec_conformance.reporting.fingerprint import UnusableFingerprint, compare, other_kit, read_fingerprint

_WIDTH = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec fingerprint-diff`."""
    parser.add_argument(
        "before",
        type=Path,
        metavar="BEFORE",
        help="fingerprint of the older release, from `cbspec verify --fingerprint FILE`",
    )
    parser.add_argument("after", type=Path, metavar="AFTER", help="fingerprint of the newer release")


def run(args: argparse.Namespace) -> int:
    """Print the differences; return the exit code."""
    try:
        before, after = read_fingerprint(args.before), read_fingerprint(args.after)
    except UnusableFingerprint as error:
        raise CommandError(str(error)) from None
    for difference in other_kit(before, after):
        print(f"Written by different versions of the kit, which may cause differences: {difference}")
    changes = compare(before, after)
    for change in changes:
        print(textwrap.fill(f"{change.what}  {change.demand}".rstrip(), _WIDTH, subsequent_indent="  "))
        print(f"    {change.before} -> {change.after}")
    many = "difference" if len(changes) == 1 else "differences"
    print(f"{len(changes)} {many}" if changes else "the same")
    return ExitCode.NOT_CONFORMING if changes else ExitCode.SUCCESS
