"""The command line. Each sub-command is a module with `configure(parser)` and `run(args)`, imported when it is called.

`run` returns an exit code (see `cbspec.exit_codes`), or raises CommandError.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from cbspec.errors import CommandError, InputError
from cbspec.exit_codes import ExitCode
from cbspec.keylog import use_key_log
from cbspec.tls_contexts import why_no_tls_1_3

COMMANDS: Final = {
    "simulate": ("cbspec_simulator.app.command", "run the simulator: a conforming relay, or one with named defects"),
    "token": ("cbspec.cli.token", "mint valid or deliberately bad tokens; create and publish keys"),
    "fault": ("cbspec.cli.fault", "add, list and remove the faults of a running simulator"),
    "transcript": ("cbspec.cli.transcript", "print a transcript of the simulator"),
    "connect": ("cbspec_client.command", "connect to a relay with the reference client and print the exchange"),
    "verify": ("cbspec_conformance.runner.command", "run the conformance suite against a relay"),
    "verify-client": (
        "cbspec_conformance.client.command",
        "judge a client: run it against the simulator in many situations",
    ),
    "tap": ("cbspec_conformance.tap.command", "stand between a client and a relay, and judge both by their traffic"),
    "report": ("cbspec_conformance.reporting.report_command", "make reports from the results of a run"),
    "matrix": ("cbspec_conformance.reporting.matrix_command", "compare the results of several implementations"),
    "judge": ("cbspec.cli.judge", "recompute the verdicts of recorded results"),
    "load": ("cbspec.cli.load", "put a relay under load and check every exchange"),
    "replay": ("cbspec_conformance.replay.command", "run recorded failures again"),
    "fingerprint-diff": ("cbspec.cli.fingerprint_diff", "compare the fingerprints of two releases of a relay"),
    "explain": ("cbspec.cli.explain", "explain a requirement: its demand, the reason, and its cases"),
    "profile": ("cbspec.cli.profile", "write a template of a target profile, or check a profile"),
}
"""Each sub-command's module and summary."""

_VERIFY: Final = ("hypothesis", "jinja2", "jsonschema", "jsonschema_rs")
EXTRAS: Final = {
    "verify": ("verify", _VERIFY),
    "verify-client": ("verify", _VERIFY),
    "tap": ("verify", _VERIFY),
    "report": ("verify", _VERIFY),
    "matrix": ("verify", _VERIFY),
    "judge": ("verify", _VERIFY),
    "replay": ("verify", _VERIFY),
    "load": ("load", ("locust", *_VERIFY)),
}
"""The sub-commands that need more than `pip install cbspec`: the extra, and the modules that it installs."""

CONNECTING: Final = ("simulate", "connect", "verify", "verify-client", "tap", "load", "replay")
"""The sub-commands that make or accept TLS connections."""

AFTER_DASHES: Final = "-- "
"""The beginning of the metavar of a sub-command's argument that takes everything after --, for another program."""


class _CommandParser(argparse.ArgumentParser):
    """The parser of a sub-command, which imports the command's module on first use."""

    def __init__(self, *, module: str = "", **options: Any) -> None:  # noqa: ANN401 - argparse's own options
        super().__init__(**options)
        self._module = module

    def parse_known_args(  # type: ignore[override] # argparse's overloads say no more than this
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own type
    ) -> tuple[Any, list[str]]:
        if self._module:
            _check_extra(self.prog.rpartition(" ")[2])
            module = importlib.import_module(self._module)
            self._module = ""
            module.configure(self)
            self.set_defaults(run=module.run)
        after = next((each for each in self._actions if str(each.metavar).startswith(AFTER_DASHES)), None)
        if after is not None and args is not None and "--" in args:
            # argparse matches an optional positional argument too early, with nothing, if options follow.
            place = list(args).index("--")
            filled, unknown = super().parse_known_args(args[:place], namespace)
            setattr(filled, after.dest, list(args[place + 1 :]))
            return filled, unknown
        rest = self._rest()
        if rest is None or args is None or list(args) in (["-h"], ["--help"]):
            filled, unknown = super().parse_known_args(args, namespace)
            if unknown:  # reported here, with the usage of the sub-command
                self.error(f"unrecognized arguments: {' '.join(unknown)}")
            return filled, []
        # argparse.REMAINDER rejects a leading argument that begins with a dash, so it is filled here.
        filled = super().parse_known_args([], namespace)[0]
        setattr(filled, rest.dest, list(args))
        return filled, []

    def _rest(self) -> argparse.Action | None:
        """Return the argument that takes everything, if it is the only one."""
        own = [action for action in self._actions if action.dest != "help"]
        return own[0] if len(own) == 1 and own[0].nargs == argparse.REMAINDER else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process; return the exit code."""
    if argv is None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes again at exit and would report the closed pipe.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except CommandError as error:
        return _fail(str(error), error.code)
    except InputError as error:
        return _fail(str(error))
    return code


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as end:  # argparse's own number for a wrong option is 2
        return ExitCode.WRONG_USE if end.code else ExitCode.SUCCESS
    if args.command is None:
        parser.print_help(sys.stderr)
        return ExitCode.WRONG_USE
    if args.command in CONNECTING and (reason := why_no_tls_1_3()):
        raise CommandError(reason)
    if args.command in CONNECTING:
        use_key_log(getattr(args, "keylog", None))
    code: int = args.run(args)
    return code


def _check_extra(command: str) -> None:
    extra, modules = EXTRAS.get(command, ("", ()))
    missing = [module.replace("_", "-") for module in modules if find_spec(module) is None]
    if missing:
        packages = "package" if len(missing) == 1 else "packages"
        raise CommandError(f"{command} needs the {packages} {', '.join(missing)}: run pip install 'cbspec[{extra}]'")


def _fail(text: str, code: ExitCode = ExitCode.WRONG_USE) -> int:
    for line in text.splitlines():
        print(f"cbspec: {line}", file=sys.stderr)
    return code


class _Versions(argparse.Action):
    """Prints the versions; the catalogue is read for that alone."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from cbspec.catalogue.revisions import about_versions

        print(about_versions())
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cbspec", description="Conformance test kit for the CloudBridge Relay protocol v2.0."
    )
    parser.add_argument(
        "--version", action=_Versions, nargs=0, help="show the versions of kit, catalogue and specification"
    )
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=_CommandParser)
    for name, (module, text) in COMMANDS.items():
        commands.add_parser(name, module=module, help=text, description=text[0].upper() + text[1:] + ".")
    return parser
