"""`cbspec profile`: a target profile to start from, or one checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cbspec.errors import CommandError
from cbspec.profile.profile import ProfileError, load, template


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `cbspec profile`."""
    actions = parser.add_subparsers(
        dest="action", metavar="action", required=True, parser_class=argparse.ArgumentParser
    )
    init = actions.add_parser("init", help="write a commented profile in which nothing is in force yet")
    init.add_argument("file", nargs="?", default="-", help="where to write it (default, and -: standard output)")
    init.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    check = actions.add_parser("check", help="say whether a profile can be used, or everything that is wrong with it")
    check.add_argument("file", type=Path, help="the profile")


def run(args: argparse.Namespace) -> int:
    """Write or check a profile: 1 where the checked one can't be used."""
    if args.action == "check":
        return _check(args.file)
    if args.file == "-":
        sys.stdout.write(template())
        return 0
    path = Path(args.file)
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise CommandError(f"{path} exists; --force overwrites it") from None
    print(f"{path}: written; fill it in, then name it with --target-profile")
    return 0


def _check(path: Path) -> int:
    try:
        load(path)
    except ProfileError as error:
        print(error)
        return 1
    print(f"{path}: can be used")
    return 0
