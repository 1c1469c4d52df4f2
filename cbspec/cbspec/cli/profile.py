"""`cbspec profile`: write a template of a target profile, or check a profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.profile.profile import MINIMAL, ProfileError, load, template


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `cbspec profile`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="write a template in which every key is commented out")
    init.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="file to write (default or -: standard output)"
    )
    init.add_argument("--minimal", action="store_true", help="write only the five keys that most relays need")
    init.add_argument("--force", action="store_true", help="overwrite an existing file")
    check = actions.add_parser("check", help="check a profile and list every mistake")
    check.add_argument("file", type=Path, metavar="FILE", help="profile to check")


def run(args: argparse.Namespace) -> int:
    """Write or check a profile; return the exit code."""
    if args.action == "check":
        return _check(args.file)
    text = MINIMAL if args.minimal else template()
    if args.file == "-":
        sys.stdout.write(text)
        return 0
    path = Path(args.file)
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} exists; --force overwrites it") from None
    print(f"{path}: written; edit it, then give it to `cbspec verify --profile`")
    return 0


def _check(path: Path) -> int:
    path.open("rb").close()  # an absent file is wrong use
    try:
        load(path)
    except ProfileError as error:
        print(error)
        return ExitCode.NOT_CONFORMING
    print(f"{path}: valid")
    return 0
