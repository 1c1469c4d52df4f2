"""The options of `cbspec connect`, each with its environment variable, and what they choose."""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cbspec import keylog
from cbspec.errors import CommandError
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca_file, is_loopback
from cbspec.tls_contexts import Trust
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client.errors import TokenUnavailable
from cbspec_client.keepalive import Heartbeats
from cbspec_client.reconnecting import TunnelWish
from cbspec_client.retrying import RetryPolicy
from cbspec_client.session import Transport
from cbspec_client.tunnel_file import read_tunnels

PREFIX = "CLOUDBRIDGE_"
"""The beginning of the name of each environment variable that sets an option."""

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+):(?P<port>\d+)", re.ASCII)
_TUNNEL = re.compile(r"(?P<id>.+?):(?P<local>\d+):" + _ADDRESS.pattern, re.ASCII)
_HOUR = 3600


class _Container(Protocol):
    """A parser, or a group of it."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action: ...  # noqa: ANN401 - argparse's own


@dataclass(frozen=True, slots=True)
class ConnectPlan:
    """Trust, tunnels and token, chosen by the options; `provide` returns "" if no token may be sent."""

    ca: Path | Trust
    provide: Callable[[], str] = field(repr=False)
    tunnels: Sequence[TunnelWish] = ()
    warning: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options. Raises CommandError if an environment variable has an impossible value."""
    _add(
        parser, "address", type=_address, nargs="?", metavar="HOST:PORT", help="address of the relay", variable="RELAY"
    )
    _add(parser, "--transport", choices=[*Transport], default="tcp", help="tcp or websocket (default: tcp)")
    _add(parser, "--path", default="/", help="path of the WebSocket request (default: /)")
    _add(parser, "--server-name", metavar="NAME", help="name that the certificate must have (default: HOST)")
    trust = parser.add_mutually_exclusive_group()
    _add(
        trust,
        "--ca",
        metavar="FILE",
        help="trusted CA: a PEM file, 'development' (default on loopback) or 'system' (default elsewhere)",
    )
    trust.add_argument(
        "--insecure",
        action="store_true",
        help="don't verify the certificate, and send no token but one that an option names",
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file that contains the token, read before each connection [CLOUDBRIDGE_TOKEN_FILE, CLOUDBRIDGE_TOKEN]",
    )
    token.add_argument("--token-env", metavar="NAME", help="environment variable that contains the token")
    parser.add_argument(
        "--development", action="store_true", help="use the development CA and a development token for any address"
    )
    _add(parser, "--tenant", default="tenant-001", help="tenant in a development token (default: tenant-001)")
    _add(parser, "--subject", default="user123", help="subject in a development token (default: user123)")
    parser.add_argument(
        "--tunnel",
        type=_tunnel,
        action="append",
        default=[],
        metavar="ID:LOCAL_PORT:HOST:PORT",
        help="open a tunnel (may be repeated)",
    )
    _add(parser, "--tunnels", type=Path, metavar="FILE", help="open the tunnels of a TOML file")
    _add(parser, "--timeout", type=_seconds, default=10.0, help="time-out for each step (default: 10)")
    parser.add_argument(
        "--heartbeats", type=_count, default=1, metavar="N", help="heartbeats of a session without --stay (default: 1)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON per message or event, and one for the outcome"
    )
    parser.add_argument("--keylog", type=Path, metavar="FILE", help=keylog.HELP)
    _configure_stay(parser.add_argument_group("sessions that stay up"))


def _configure_stay(group: _Container) -> None:
    group.add_argument(
        "--stay", action="store_true", help="stay up with heartbeats, and reconnect, until SIGTERM or Ctrl-C"
    )
    group.add_argument("--messages", action="store_true", help="print the messages, too")
    _add(group, "--heartbeat-interval", type=_seconds, default=30.0, help="time between heartbeats (default: 30)")
    _add(group, "--heartbeat-timeout", type=_seconds, default=5.0, help="time-out of a heartbeat (default: 5)")
    _add(
        group,
        "--heartbeat-misses",
        type=_count,
        default=2,
        metavar="N",
        help="time-outs of a heartbeat that may pass before the last one (default: 2)",
    )
    _add(group, "--retries", type=_count, default=3, metavar="N", help="retries in a row (default: 3)")
    _add(group, "--retry-delay", type=_seconds, help="pause before the first retry (default: 1 to 10, by cause)")
    _add(group, "--retry-cap", type=_seconds, default=30.0, help="longest pause before a retry (default: 30)")
    _add(
        group,
        "--settled",
        type=_seconds,
        default=60.0,
        help="time after which a connection ends a row of retries (default: 60)",
    )
    _add(
        group,
        "--renew-before",
        type=_seconds,
        default=60.0,
        help="time before the token's expiry at which a new one is read (default: 60)",
    )


def _add(container: _Container, name: str, *, help: str, variable: str = "", **settings: Any) -> None:  # noqa: ANN401 - argparse's own
    """Add an option whose default an environment variable can set."""
    variable = PREFIX + (variable or name.strip("-").replace("-", "_").upper())
    if settings.get("type") is _seconds:
        settings["metavar"] = "SECONDS"
    text = os.environ.get(variable)
    if text:
        settings["default"] = _converted(text, variable, settings)
    container.add_argument(name, help=f"{help} [{variable}]", **settings)


def _converted(text: str, variable: str, settings: dict[str, Any]) -> object:
    if "choices" in settings and text not in settings["choices"]:
        raise CommandError(f"the environment variable {variable}: {text!r} is not {' or '.join(settings['choices'])}")
    try:
        return settings.get("type", str)(text)
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"the environment variable {variable}: {error}") from None


def choose(args: argparse.Namespace) -> ConnectPlan:
    """Return what the options choose. Raises CommandError if they are wrong."""
    if args.address is None:
        raise CommandError(f"no relay is named: add HOST:PORT, or set {PREFIX}RELAY")
    development = args.development or is_loopback(args.address[0])
    tunnels = [*args.tunnel, *(read_tunnels(args.tunnels) if args.tunnels else [])]
    provide = _named_token(args)
    remedy = f"use --token-file, --token-env, {PREFIX}TOKEN or --development"
    if args.insecure:
        provide = provide or ((lambda: _development_token(args)) if args.development else None)
        if provide is None and (tunnels or args.stay):
            wish = "--stay" if args.stay else "--tunnel"
            raise CommandError(f"{wish} needs a token, and --insecure sends only one that an option names; {remedy}")
        warning = "the relay's certificate isn't verified: the token may reach another server" if provide else ""
        return ConnectPlan(Trust.ANY, provide or str, tunnels, warning)
    if provide is None and not development:
        raise CommandError(f"{args.address[0]} isn't loopback, so no token is generated for it; {remedy}")
    ca = _trust(args.ca, development=development)
    return ConnectPlan(ca, provide or (lambda: _development_token(args)), tunnels)


def heartbeats(args: argparse.Namespace) -> Heartbeats:
    """Return when heartbeats are sent."""
    return Heartbeats(args.heartbeat_interval, args.heartbeat_timeout, args.heartbeat_misses)


def retries(args: argparse.Namespace) -> RetryPolicy:
    """Return when to retry."""
    return RetryPolicy(args.retries, args.retry_delay, cap=args.retry_cap, settled=args.settled)


def _trust(ca: str | None, *, development: bool) -> Path | Trust:
    match ca or ("development" if development else "system"):
        case "development":
            return development_ca_file()
        case "system":
            return Trust.SYSTEM
        case file:
            return Path(file)


def _named_token(args: argparse.Namespace) -> Callable[[], str] | None:
    """Return the provider of the token that an option or the environment names; it was called once without an error."""
    variable, file = args.token_env, args.token_file
    if variable is None and file is None and not args.insecure:
        if os.environ.get(f"{PREFIX}TOKEN"):
            variable = f"{PREFIX}TOKEN"
        elif os.environ.get(f"{PREFIX}TOKEN_FILE"):
            file = Path(os.environ[f"{PREFIX}TOKEN_FILE"])
    if variable is not None:
        token = _checked(os.environ.get(variable, ""), f"the environment variable {variable}")
        return lambda: token
    if file is None:
        return None
    _read_token(file)

    def provide() -> str:
        try:
            return _read_token(file)
        except CommandError as error:
            raise TokenUnavailable(str(error)) from None

    return provide


def _read_token(file: Path) -> str:
    try:
        return _checked(file.read_text("utf-8"), str(file))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not a text file, so it contains no token") from None


def _checked(text: str, source: str) -> str:
    token = text.strip()
    # A wrong file, such as a private key, must not be sent.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError(f"{source} contains no token: a token is one word of ASCII characters")
    return token


def _development_token(args: argparse.Namespace) -> str:
    now = int(time.time())
    claims = {"sub": args.subject, "tenant_id": args.tenant, "iat": now, "exp": now + _HOUR}
    return mint(SigningKey.hmac(DEVELOPMENT_SECRET), claims)


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, as in relay.example:8080 or [::1]:8080")
    return match["host"].strip("[]"), _port(match["port"])


def _tunnel(text: str) -> TunnelWish:
    match = _TUNNEL.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID:LOCAL_PORT:HOST:PORT, as in rdp:3389:192.168.1.100:3389")
    return TunnelWish(match["id"], _port(match["local"]), match["host"].strip("[]"), _port(match["port"]))


def _port(text: str) -> int:
    if len(text) > 5 or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: use 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a count: use 0 to 999999")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time-out: use seconds, more than 0 and at most 86400")
    return seconds
