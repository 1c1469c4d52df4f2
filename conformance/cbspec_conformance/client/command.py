"""`cbspec verify-client`: judge a client, in any folder."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Final

import pytest

from cbspec.catalogue.requirements import CATALOGUE
from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.client.client_profile import PLACEHOLDERS
from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.properties.effort import DEFAULT
from cbspec_conformance.reporting.formats import add_report_options

_OWN: Final = ("list", "client", "command", "run")
_FLAGS: Final = ("require_all",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec verify-client`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    listed = "\n".join(f"  {{{name}}}".ljust(16) + about for name, about in PLACEHOLDERS.items())
    parser.epilog = (
        f"The command may contain\n{listed}\n\nThe same values are in the environment: CBSPEC_HOST, CBSPEC_PORT, "
        "CBSPEC_CA,\nCBSPEC_TOKEN, CBSPEC_TENANT, CBSPEC_TRANSPORT, CBSPEC_SITUATION."
    )
    add = parser.add_argument_group("the client").add_argument
    add("--client-profile", metavar="FILE", help="profile of the client: command, time-outs, files (TOML)")
    add("--transport", choices=("tcp", "websocket"), help="transport of the client (default: the profile's, or tcp)")
    add = parser.add_argument_group("the situations").add_argument
    add("--list", action="store_true", help="list the situations, and exit")
    add("--situation", action="append", default=[], metavar="NAME", help="run this situation alone (repeatable)")
    add("--effort", choices=("quick", "default"), default=DEFAULT.name, help="amount of situations (default: default)")
    add("--jobs", metavar="N", help="clients to run at once (default: 32, of which few are busy)")
    add("--max-time", metavar="SECONDS", help="end the run after this time, with a report (default: 600)")
    add = parser.add_argument_group("the verdict").add_argument
    add("--only", action="append", default=[], metavar="ID", help="show this requirement alone (repeatable)")
    add("--fail-on", choices=("must", "should"), help="lowest level that fails the run (default: must)")
    add("--require-all", action="store_true", help="fail the run if a MUST was not exercised")
    add("--catalogue", metavar="REVISION", help=f"judge by this revision of the catalogue (default: {CATALOGUE})")
    add("--baseline", metavar="FILE", help="known failures, which do not fail the run (TOML)")
    add = parser.add_argument_group("reports").add_argument
    add("--exchanges", metavar="N", help="exchanges to show for each requirement (default: 1)")
    add("--results", metavar="FILE", help="write the run as it happens, for cbspec report (JSON Lines)")
    add_report_options(add)
    add("--junit-xml", dest="junit", metavar="FILE", help="the same as --junit")
    add("--fingerprint", metavar="FILE", help="write the client's behaviour where the specification is silent (JSON)")
    add("--write-baseline", metavar="FILE", help="write the failures of this run as a baseline (TOML)")
    parser.add_argument("client", nargs="*", metavar="-- COMMAND", help="the client's command, with placeholders")


def run(args: argparse.Namespace) -> int:
    """Judge the client and return the exit code."""
    if args.list:
        print("\n".join(f"{row.name:<30} {row.requirement}  {row.about}" for row in SITUATIONS.values()))
        return ExitCode.SUCCESS
    words: list[str] = args.client
    if not words and args.client_profile is None:
        raise CommandError(
            "verify-client: give the client's command after --, for example: "
            "cbspec verify-client -- ./my-client --relay {host}:{port} --ca {ca} --token {token}"
        )
    options = ["--client", shlex.join(words)] if words else []
    for name, value in vars(args).items():
        if name in _OWN or value in (None, [], False):
            continue
        option = f"--{name.replace('_', '-')}"
        options += [option] if name in _FLAGS else [f"{option}={each}" for each in _values(value)]
    code = pytest.main([*PYTEST_OPTIONS, str(Path(SUITE, "client")), *options])
    return ExitCode.INTERRUPTED if code == pytest.ExitCode.INTERRUPTED else int(code)


def _values(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
