"""The command line: one sub-command, one module with `configure(parser)` and `run(args)`, imported when it is called.

Exit codes: 0 all is well, 1 what was judged failed, 2 wrong usage or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final

from cbspec.catalogue.requirements import UnknownRequirement
from cbspec.errors import CommandError
from cbspec.profile.identity import IdentityError
from cbspec.profile.profile import ProfileError

COMMANDS: Final = {
    "simulate": (
        "cbspec_simulator.app.command",
        "start the simulator, a conforming relay unless told otherwise",
    ),
    "token": ("cbspec.cli.token", "mint a token, good or bad in a named way; make and publish keys"),
    "fault": ("cbspec.cli.fault", "add, list and remove faults of a simulator that runs"),
    "transcript": ("cbspec.cli.transcript", "show what a simulator took down"),
    "connect": ("cbspec_client.command", "connect to a relay with the reference client and show the exchange"),
    "verify": ("cbspec_conformance.runner.command", "judge a relay: run the suite against host:port"),
    "load": ("cbspec.cli.load", "let many clients come at once, and watch every exchange (needs cbspec[load])"),
    "replay": ("cbspec_conformance.replay.command", "run failures again: fixed, still failing, or can't tell"),
    "fingerprint-diff": (
        "cbspec.cli.fingerprint_diff",
        "compare two releases of a relay where the page is silent",
    ),
    "explain": ("cbspec.cli.explain", "say what a requirement asks, why, and how it is tried"),
    "profile": ("cbspec.cli.profile", "write a target profile to start from, or check one"),
}
"""Each sub-command's module and what it does."""

BEHIND_DASHES: Final = "-- OPTION"
"""The metavar of a sub-command's argument that takes whatever stands behind --, for another program."""

_FAILED: Final = 2
_INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141


class _CommandParser(argparse.ArgumentParser):
    """A sub-command's parser, whose module is imported when it is used and not before."""

    def __init__(self, *, module: str = "", **options: Any) -> None:  # noqa: ANN401 - argparse's own options
        super().__init__(**options)
        self._module = module

    def parse_known_args(  # type: ignore[override] # argparse's overloads say no more than this
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own type
    ) -> tuple[Any, list[str]]:
        if self._module:
            module = importlib.import_module(self._module)
            self._module = ""
            module.configure(self)
            self.set_defaults(run=module.run)
        behind = next((each for each in self._actions if each.metavar == BEHIND_DASHES), None)
        if behind is not None and args is not None and "--" in args:
            # argparse gives a positional argument that may be left out nothing of what comes late.
            place = list(args).index("--")
            filled, unknown = super().parse_known_args(args[:place], namespace)
            setattr(filled, behind.dest, list(args[place + 1 :]))
            return filled, unknown
        rest = self._rest()
        if rest is None or args is None or list(args) in (["-h"], ["--help"]):
            return super().parse_known_args(args, namespace)
        # argparse.REMAINDER doesn't take what begins with a dash in the first place, so it is filled here.
        filled = super().parse_known_args([], namespace)[0]
        setattr(filled, rest.dest, list(args))
        return filled, []

    def _rest(self) -> argparse.Action | None:
        """Give the argument that takes everything, if the command has no other."""
        own = [action for action in self._actions if action.dest != "help"]
        return own[0] if len(own) == 1 and own[0].nargs == argparse.REMAINDER else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; without `argv`, the process' own arguments."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at its end and would complain.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (CommandError, IdentityError, ProfileError, UnknownRequirement) as error:
        return _fail(str(error))
    return code


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    if args.command is None:
        parser.print_help(sys.stderr)
        return _FAILED
    code: int = args.run(args)
    return code


def _fail(text: str) -> int:
    for line in text.splitlines():
        print(f"cbspec: {line}", file=sys.stderr)
    return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cbspec", description="Conformance test kit for the CloudBridge Relay protocol v2.0."
    )
    parser.add_argument("--version", action="version", version=f"cbspec {metadata.version('cbspec')}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_CommandParser)
    for name, (module, text) in COMMANDS.items():
        commands.add_parser(name, module=module, help=text, description=text[0].upper() + text[1:] + ".")
    return parser
