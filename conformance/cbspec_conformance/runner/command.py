"""`cbspec verify`: the suite from an installed package, in any folder."""

from __future__ import annotations

import argparse
import re

import pytest

from cbspec_conformance import PYTEST_OPTIONS, SUITE

_ADDRESS = re.compile(r"[^-/][^/]*:\d+")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `cbspec verify`: an address, and then whatever pytest takes."""
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="HOST:PORT [OPTION ...]",
        help="the relay to judge (none: an embedded simulator), and the suite's and pytest's options, for example "
        "--target-profile FILE, --transport websocket, --only CB-TUN-004, --wait 10, --max-time 60, --fail-on should, "
        "--require-all, --junit-xml FILE, --effort thorough, -n 2",
    )


def run(args: argparse.Namespace) -> int:
    """Run the suite; return its exit code."""
    return int(pytest.main([*PYTEST_OPTIONS, str(SUITE), *_with_target(args.arguments)]))


def _with_target(arguments: list[str]) -> list[str]:
    """Return the arguments with the address among them, host:port, named as the target."""
    for place, argument in enumerate(arguments):
        free = place == 0 or not arguments[place - 1].startswith("-") or "=" in arguments[place - 1]
        if free and _ADDRESS.fullmatch(argument):
            return ["--target", argument, *arguments[:place], *arguments[place + 1 :]]
    # What stands first and is no address was meant for one: reading it as the target says what is wrong with it.
    return ["--target", *arguments] if arguments and not arguments[0].startswith("-") else arguments
