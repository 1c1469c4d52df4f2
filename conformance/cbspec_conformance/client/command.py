"""`cbspec verify-client`: judge a client, in any folder."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.options import TRANSPORT, Option, add_options
from cbspec_conformance import SUITE
from cbspec_conformance.client.client_profile import PLACEHOLDERS
from cbspec_conformance.client.options import CLIENT, CLIENT_PROFILE, SITUATION
from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.runner.command import JUNIT, add_verbosity, run_pytest
from cbspec_conformance.runner.options import GROUPS

_OTHER_HELP: Final[Mapping[str, Mapping[str, Any]]] = {
    "--effort": {"help": "amount of situations", "choices": ("quick", "default")},
    "--only": {"help": "show this requirement alone"},
    "--chapter": {"help": "show the requirements of this chapter, such as REF"},
    "--level": {"help": "show the requirements of this level"},
    "--fingerprint": {"help": "write the client's behaviour where the specification is silent (JSON)"},
    "--jobs": {"help": "clients to run at once", "default_text": "32, of which few are busy"},
    "--max-time": {"default_text": "600"},
    "--transport": {"choices": ("tcp", "websocket"), "default_text": "the profile's, or tcp"},
}
_NOT_OF_CLIENTS: Final = ("--own-cases", "--examples", "--seed", "--shuffle", "--failures", "--transcript", "--costs")
_OWN: Final = {"the client": (CLIENT_PROFILE, TRANSPORT), "what is judged": (SITUATION,)}


def _groups() -> dict[str, list[Option]]:
    """Return the options in the groups of the help: those of `cbspec verify` that apply, and the command's own."""
    titles = ("the client", "what is judged", "the verdict", "the run", "reports")
    found = {title: [*_OWN.get(title, ()), *GROUPS.get(title, ())] for title in titles}
    found["reports"].append(JUNIT)
    return {
        title: [replace(row, **_OTHER_HELP.get(row.name, {})) for row in rows if row.name not in _NOT_OF_CLIENTS]
        for title, rows in found.items()
    }


def placeholders_text() -> str:
    """Return the help text about the placeholders of a client's command."""
    listed = "\n".join(f"  {{{name}}}".ljust(16) + about for name, about in PLACEHOLDERS.items())
    return (
        f"the command may contain\n{listed}\n\nThe same values are in the environment: CBSPEC_HOST, CBSPEC_PORT, "
        "CBSPEC_CA,\nCBSPEC_TOKEN, CBSPEC_TENANT, CBSPEC_TRANSPORT, CBSPEC_SITUATION."
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec verify-client`."""
    parser.epilog = placeholders_text()
    for title, rows in _groups().items():
        group = parser.add_argument_group(title)
        add_options(group, rows)
        if title == "what is judged":
            group.add_argument("--list", action="store_true", help="list the situations, and exit")
    add_verbosity(parser)
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
    args.client = shlex.join(words) or None
    rows = [CLIENT, *(row for rows in _groups().values() for row in rows)]
    return run_pytest(str(Path(SUITE, "client")), rows, args)
