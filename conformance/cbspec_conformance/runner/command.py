"""`cbspec verify`: run the suite from an installed package, in any folder."""

from __future__ import annotations

import argparse
import re

import pytest

from cbspec.exit_codes import ExitCode
from cbspec_conformance import PYTEST_OPTIONS, SUITE

_ADDRESS = re.compile(r"[^-/][^/]*:\d+")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec verify`."""
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="HOST:PORT [OPTION ...]",
        help="address of the relay (default: an embedded simulator) and options of the suite or of pytest, for example "
        "--target-profile FILE, --transport websocket, --only CB-TUN-004, --wait 10, --max-time 60, --fail-on should, "
        "--require-all, --junit-xml FILE, --effort thorough, --jobs 4",
    )


def run(args: argparse.Namespace) -> int:
    """Run the suite and return its exit code."""
    code = pytest.main([*PYTEST_OPTIONS, str(SUITE), *_with_target(args.arguments)])
    # The suite can't choose the code of an interruption before its session has begun.
    return ExitCode.INTERRUPTED if code == pytest.ExitCode.INTERRUPTED else int(code)


def _with_target(arguments: list[str]) -> list[str]:
    """Return the arguments with --target before the address among them."""
    for place, argument in enumerate(arguments):
        before = arguments[place - 1] if place else ""
        free = not before.startswith("-") or "=" in before or before == "--shuffle"
        if free and _ADDRESS.fullmatch(argument):
            return ["--target", argument, *arguments[:place], *arguments[place + 1 :]]
    # A first argument that is no address is passed as the target too, so that the error message names it.
    return ["--target", *arguments] if arguments and not arguments[0].startswith("-") else arguments
