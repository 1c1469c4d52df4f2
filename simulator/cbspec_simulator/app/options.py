"""The options of `cbspec simulate`, in groups."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from cbspec.documents import option_type
from cbspec.options import KEY_LOG
from cbspec_simulator.base.values import Natural, Port, host_name
from cbspec_simulator.observe import log

CONTROL_PORT: Final = 8081
"""The default port of the controls."""

TRANSPORTS: Final = {"both": (), "tcp": ("tcp-only",), "websocket": ("websocket-only",)}
"""The variants that each choice of transports stands for."""

_YEAR: Final = 365 * 24 * 3600


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec simulate`."""
    port, seconds = option_type(Port), option_type(Annotated[float, Meta(ge=0, le=_YEAR)])
    many: dict[str, Any] = {"action": "append", "default": [], "metavar": "ID"}

    add = parser.add_argument_group("the relay").add_argument
    add("--config", type=Path, metavar="FILE", help="configuration file (TOML)")
    add("--host", metavar="HOST", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=port, metavar="PORT", help="port to listen on, 0 for a free one (default: 8080)")
    add("--transport", choices=TRANSPORTS, default="both", help="transports to offer (default: both)")
    add(
        "--name",
        type=_host_name,
        action="append",
        default=[],
        metavar="NAME",
        help="additional name or address in the development certificate, such as a container's (repeatable)",
    )
    add("--secret-env", metavar="NAME", help="environment variable with the secret of the tokens (HS256)")
    add("--development", action="store_true", help="allow the development identity on addresses that aren't loopback")
    add(
        "--profile-out",
        type=Path,
        metavar="FILE",
        help="write a profile that lets the suite test every requirement; starts the additional relays that it names",
    )
    add(
        "--grace",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="time for open connections to end after SIGTERM (default: 5)",
    )
    add("--max-time", type=seconds, metavar="SECONDS", help="end after this time (default: no limit)")
    add(
        "--exit-with-parent",
        action="store_true",
        help="end when standard input, a pipe that the parent process holds open, reaches end of file",
    )

    add = parser.add_argument_group("faults, and relays that violate the specification or differ").add_argument
    add("--scenario", metavar="NAME", help="ready-made scenario or file with tenants, limits, faults and a timeline")
    add("--seed", type=option_type(Natural), metavar="N", help="random seed for faults (default: 0)")
    wrong = "violate the specification in this way (repeatable)"
    add("--persona", "--deviation", dest="deviation", help=wrong, **many)
    add("--variant", help="conform to the specification in this unusual way (repeatable)", **many)
    add("--open-point", help="make this choice on a point that the specification leaves open (repeatable)", **many)

    add = parser.add_argument_group("observation").add_argument
    add(
        "--control",
        type=port,
        nargs="?",
        const=CONTROL_PORT,
        metavar="PORT",
        help=f"serve the controls over HTTP on this port of 127.0.0.1 (without a number: {CONTROL_PORT})",
    )
    add("--transcript", type=Path, metavar="FILE", help="write all messages, without tokens, to this file")
    add(KEY_LOG.name, **KEY_LOG.settings())
    add("--log-level", choices=log.LEVELS, default="warning", help="level of the log on stderr (default: warning)")
    add("--log-format", choices=log.FORMATS, default="text", help="format of the log (default: text)")
    add("--json", action="store_true", help="print one line of JSON when ready, and one about faults at the end")

    add = parser.add_argument_group("lists").add_argument
    for names, listed in (
        (("scenarios",), "the ready-made scenarios"),
        (("deviations", "personas"), "the violations of the specification"),
        (("variants",), "the unusual but conforming relays"),
        (("open-points",), "the choices on points that the specification leaves open"),
    ):
        add(*(f"--list-{name}" for name in names), action="store_true", help=f"list {listed}, and exit")


def _host_name(text: str) -> str:
    try:
        return host_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
