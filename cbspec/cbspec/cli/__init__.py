"""The command line. Each sub-command is a module with `configure(parser)` and `run(args)`, imported when it is called.

`run` returns an exit code (see `cbspec.exit_codes`), or raises CommandError.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from importlib.util import find_spec
from typing import Any, Final, NoReturn

from cbspec.errors import CommandError, InputError
from cbspec.exit_codes import ExitCode, exit_code_table
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
    "learn": (
        "cbspec_conformance.learning.command",
        "learn the state machine of a relay, compare it with the specification, and draw it",
    ),
    "learn-client": (
        "cbspec_conformance.client.learning.command",
        "learn the state machine of a client: its next message after each answer of the relay",
    ),
    "load": ("cbspec.cli.load", "put a relay under load and check every exchange"),
    "replay": ("cbspec_conformance.replay.command", "run recorded failures again"),
    "fingerprint-diff": ("cbspec.cli.fingerprint_diff", "compare the fingerprints of two releases of a relay"),
    "explain": ("cbspec.cli.explain", "explain a requirement: its demand, the reason, and its cases"),
    "profile": ("cbspec.cli.profile", "write a template of a target profile, or check a profile"),
    "completion": ("cbspec.cli.completion", "print a script for a shell, which completes commands and options"),
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
    "learn": ("learn", ("aalpy", *_VERIFY)),
    "learn-client": ("learn", ("aalpy", *_VERIFY)),
    "load": ("load", ("locust", *_VERIFY)),
}
"""The sub-commands that need more than `pip install cbspec`: the extra, and the modules that it installs."""

CONNECTING: Final = ("simulate", "connect", "verify", "verify-client", "tap", "learn", "learn-client", "load", "replay")
"""The sub-commands that make or accept TLS connections."""

_WIDEST: Final = 100  # columns of a help text
_ALIKE: Final = 0.6  # ratio of equal characters from which an option is suggested
_MANY: Final = 16  # options, of which the usage would have more than four lines

AFTER_DASHES: Final = "-- "
"""The beginning of the metavar of a sub-command's argument that takes everything after --, for another program."""


class _CommandParser(argparse.ArgumentParser):
    """The parser of a sub-command, which imports the command's module on first use."""

    def __init__(self, *, module: str = "", **options: Any) -> None:  # noqa: ANN401 - argparse's own options
        # An abbreviation that is unique today is an error after the next option that begins like it.
        super().__init__(**options, allow_abbrev=False, formatter_class=_HelpFormatter)
        self._module = module

    def load(self) -> None:
        """Import the command's module, and add its options."""
        if self._module:
            _check_extra(self.prog.rpartition(" ")[2])
            module = importlib.import_module(self._module)
            self._module = ""
            module.configure(self)
            self.set_defaults(run=module.run)
            if "exit codes:" not in (self.epilog or ""):
                self.epilog = "\n\n".join(filter(None, [self.epilog, exit_code_table()]))
            if len(self._option_string_actions) > _MANY and self._subparsers is None:
                places = [f"[{each.metavar or each.dest}]" for each in self._actions if not each.option_strings]
                self.usage = " ".join([self.prog, "[OPTION ...]", *places])

    def parse_known_args(  # type: ignore[override] # argparse's overloads say no more than this
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own type
    ) -> tuple[Any, list[str]]:
        self.load()
        words = list(args or ())
        after = next((each for each in self._actions if str(each.metavar).startswith(AFTER_DASHES)), None)
        rest: list[str] = []
        if after is not None and "--" in words:
            # argparse matches an optional positional argument too early, with nothing, if options follow.
            place = words.index("--")
            words, rest = words[:place], words[place + 1 :]
        long = [word.split("=")[0] for word in words if word.startswith("--")]
        unknown = [word for word in long if word not in self._option_string_actions]
        if unknown and self._subparsers is None:  # before the option's value is taken for an argument
            self.error(self._about(unknown[0]))
        filled, unknown = super().parse_known_args(words, namespace)
        if after is not None:
            unknown += getattr(filled, after.dest) or []
            setattr(filled, after.dest, rest)
        if unknown:  # reported here, in the name of the sub-command
            self.error(self._about(unknown[0].split("=")[0]))
        return filled, []

    def _about(self, unknown: str) -> str:
        kind = "option" if unknown.startswith("-") else "argument"
        return f"there is no {kind} {unknown}{_suggestion(unknown, self._option_string_actions)}"

    def error(self, message: str) -> NoReturn:
        """Print an error of one line: the usage of a command with many options would hide it."""
        self.exit(2, f"{self.prog}: {message} (help: {self.prog} --help)\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats help texts for at most 100 columns."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        super().__init__(prog, max_help_position=28, width=width)


_BEGIN: Final = """\
cbspec checks implementations of the CloudBridge Relay protocol v2.0.

Judge a relay
  cbspec verify 127.0.0.1:8080                    one that runs
  cbspec verify -- ./my-relay --port {port}       start one, judge it and stop it

Judge a client
  cbspec verify-client -- ./my-client {host}:{port} --ca {ca} --token {token}

Run the simulator, a conforming relay
  cbspec simulate

cbspec --help lists all commands, cbspec COMMAND --help the options of one."""


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
    words = sys.argv[1:] if argv is None else argv
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        near = _suggestion(words[0], COMMANDS)
        raise CommandError(f"there is no command {words[0]}{near} (cbspec --help lists them)")
    try:
        args = parser.parse_args(words)
    except SystemExit as end:  # argparse's own number for a wrong option is 2
        return ExitCode.WRONG_USE if end.code else ExitCode.SUCCESS
    if args.command is None:
        print(_BEGIN, file=sys.stderr)
        return ExitCode.WRONG_USE
    if args.command in CONNECTING and (reason := why_no_tls_1_3()):
        raise CommandError(reason)
    if args.command in CONNECTING:
        use_key_log(getattr(args, "keylog", None))
    code: int = args.run(args)
    return code


def _suggestion(unknown: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known word is meant, or "" if none is near."""

    def likeness(word: str) -> float:
        return max(SequenceMatcher(None, unknown, each).ratio() for each in (word, word[: len(unknown)]))

    near = max(known, key=likeness)
    return f"; did you mean {near}?" if likeness(near) >= _ALIKE else ""


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


def full_parser() -> argparse.ArgumentParser:
    """Return the parser with the options of all commands whose packages are installed."""
    parser = _parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for command in commands.choices.values():
        with contextlib.suppress(CommandError):
            command.load()
    return parser


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
