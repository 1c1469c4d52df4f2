"""The options of `cbspec simulate`, in groups."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cbspec_simulator.base.values import COUNT, LATER, PORT, Value
from cbspec_simulator.observe import log

CONTROL_PORT: Final = 8081
"""Where the controls are unless another port is named."""

TRANSPORTS: Final = {"both": (), "tcp": ("tcp-only",), "websocket": ("websocket-only",)}
"""The variants that each choice of transports stands for."""


def _number(text: str) -> int:
    return int(_checked(text, int, COUNT))


def _port(text: str) -> int:
    return int(_checked(text, int, PORT))


def _seconds(text: str) -> float:
    return float(_checked(text, float, LATER))


def _checked(text: str, read: Callable[[str], Any], wanted: Value) -> Any:  # noqa: ANN401 - what the value holds
    try:
        value = read(text)
    except ValueError:
        value = text
    if not wanted.good(value):
        raise argparse.ArgumentTypeError(f"must be {wanted.wanted}, not {text!r:.60}")
    return value


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec simulate`."""
    _relay(parser.add_argument_group("the relay"))
    _faults(parser.add_argument_group("faults, and relays that are wrong or different"))
    _watching(parser.add_argument_group("watching it"))
    _lists(parser.add_argument_group("lists"))


def _relay(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--config", type=Path, metavar="FILE", help="configuration (TOML)")
    add("--host", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=_port, help="port to listen on, 0 for a free one (default: 8080)")
    add("--transport", choices=TRANSPORTS, default="both", help="transports to speak (default: both)")
    add("--secret-env", metavar="NAME", help="environment variable with the secret of tokens (HS256)")
    add(
        "--development", action="store_true", help="let the development identity serve an address that others can reach"
    )
    add(
        "--profile-out",
        type=Path,
        metavar="FILE",
        help="write the profile with which the suite can judge this relay in full; starts the relays that it names",
    )
    add(
        "--grace", type=_seconds, default=5.0, metavar="SECONDS", help="how long SIGTERM waits for clients (default: 5)"
    )


def _faults(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--scenario", metavar="NAME", help="a ready-made scenario or a file: tenants, limits, faults, timeline")
    add("--seed", type=_number, help="what faults leave to chance follows from this number (default: 0)")
    wrong = "be wrong in this way (may be repeated)"
    add("--persona", "--deviation", dest="deviation", action="append", default=[], metavar="ID", help=wrong)
    add("--variant", action="append", default=[], metavar="ID", help="be right and different (may be repeated)")
    open_ = "go this way where the specification doesn't say which (may be repeated)"
    add("--open-point", action="append", default=[], metavar="ID", help=open_)


def _watching(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--control",
        type=_port,
        nargs="?",
        const=CONTROL_PORT,
        metavar="PORT",
        help=f"let it be controlled over HTTP on this port of 127.0.0.1 (without a number: {CONTROL_PORT})",
    )
    add("--transcript", type=Path, metavar="FILE", help="take down what is said, without tokens")
    add(
        "--log-level", choices=log.LEVELS, default="warning", help="what is logged on standard error (default: warning)"
    )
    add("--log-format", choices=log.FORMATS, default="text", help="for people or for programs (default: text)")
    add("--json", action="store_true", help="print one line of JSON when ready, and nothing else")


def _lists(group: argparse._ArgumentGroup) -> None:
    for names, what in (
        (("scenarios",), "the ready-made scenarios"),
        (("deviations", "personas"), "the ways to be wrong"),
        (("variants",), "the ways to be right and different"),
        (("open-points",), "the ways that the specification leaves open"),
    ):
        options = [f"--list-{name}" for name in names]
        group.add_argument(*options, action="store_true", help=f"list {what}, and exit")
