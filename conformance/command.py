"""`cbspec verify`: the suite from an installed package, in any folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec verify`: an address, and then whatever pytest takes."""
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="HOST:PORT [OPTION ...]",
        help="the relay to judge (none: an embedded simulator), and the suite's and pytest's options, for example "
        "--target-profile FILE, --transport websocket, --only CB-TUN-004, --wait 10, --max-time 60, --fail-on should, "
        "--require-all, --junit-xml FILE, -n 2",
    )


def run(args: argparse.Namespace) -> int:
    """Run the suite; return its exit code."""
    return int(pytest.main([str(Path(__file__).parent), *_with_target(args.arguments)]))


def _with_target(arguments: list[str]) -> list[str]:
    """Return the arguments with an address in the first place named as the target."""
    if arguments and not arguments[0].startswith("-"):
        return ["--target", *arguments]
    return arguments
