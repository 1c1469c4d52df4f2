"""The options of `cbspec connect`, each with its environment variable, and what they choose."""

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cbspec.errors import CommandError
from cbspec.exit_codes import exit_code_table
from cbspec.options import (
    FILE,
    ID,
    KEY_LOG,
    NAME,
    RELAY,
    TRANSPORT,
    ChosenCA,
    Option,
    OptionContainer,
    ValueKind,
    add_options,
    address_of,
    checked_token,
    read_token,
    relay_profile,
)
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca_file, is_loopback
from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.target import Profile
from cbspec.tls_contexts import Trust
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client.errors import TokenUnavailable
from cbspec_client.exit_causes import EXIT_CAUSES, OTHER_EXITS
from cbspec_client.keepalive import Heartbeats
from cbspec_client.reconnecting import TunnelWish
from cbspec_client.retrying import RetryPolicy
from cbspec_client.session import Transport
from cbspec_client.tunnel_file import read_tunnels

PREFIX = "CLOUDBRIDGE_"
"""The beginning of the name of each environment variable that sets an option."""

_RELAY: Final = f"{PREFIX}RELAY"
_TUNNEL = re.compile(r"(?P<id>.+?):(?P<local>\d+):(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+):(?P<port>\d+)", re.ASCII)
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class ConnectPlan:
    """What the options and the profile choose; `provide` returns "" if no token may be sent."""

    address: tuple[str, int]
    ca: Path | Trust
    provide: Callable[[], str] = field(repr=False)
    tunnels: Sequence[TunnelWish] = ()
    warning: str = ""
    transport: str = "tcp"
    path: str = "/"
    server_name: str | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options. Raises CommandError if an environment variable has an impossible value."""
    group = parser.add_argument_group("the relay")
    address, target, profile, ca, token_file = RELAY
    add_options(group, [replace(address, help=f"address of the relay [{_RELAY}]"), target, profile])
    _add(group, replace(TRANSPORT, choices=[*Transport], default_text="the profile's, or tcp"))
    _add(
        group, Option("--path", "path of the WebSocket request", ValueKind("PATH"), default_text="the profile's, or /")
    )
    _add(group, Option("--server-name", "name that the certificate must have", NAME, default_text="HOST"))
    trust = group.add_mutually_exclusive_group()
    _add(trust, ca)
    add_options(
        trust, [Option("--insecure", "don't verify the certificate, and send no token but one that an option names")]
    )
    group = parser.add_argument_group("the token")
    named = f"file with the token, read before each connection [{PREFIX}TOKEN_FILE, {PREFIX}TOKEN]"
    add_options(
        group.add_mutually_exclusive_group(),
        [replace(token_file, help=named), Option("--token-env", "environment variable that contains the token", NAME)],
    )
    add_options(group, [Option("--development", "use the development CA and a development token for any address")])
    _add(group, Option("--tenant", "tenant in a generated token", ID, default_text="the profile's, or tenant-001"))
    _add(group, Option("--subject", "subject in a generated token", NAME, default_text="the profile's, or user123"))
    group = parser.add_argument_group("the session")
    kind = ValueKind("ID:LOCAL_PORT:HOST:PORT", _tunnel)
    add_options(group, [Option("--tunnel", "open a tunnel", kind, repeatable=True)])
    _add(group, Option("--tunnels", "open the tunnels of a TOML file", FILE))
    _add(group, Option("--timeout", "time-out for each step", _TIMEOUT, default=10.0))
    add_options(
        group,
        [
            Option("--heartbeats", "heartbeats of a session without --stay", _COUNT, default=1),
            Option("--json", "print a line of JSON per message or event, and one for the outcome"),
        ],
    )
    add_options(group, [KEY_LOG])
    _configure_stay(parser.add_argument_group("sessions that stay up"))
    parser.epilog = exit_code_table(dict(sorted([*EXIT_CAUSES.values(), *OTHER_EXITS])))


def _configure_stay(group: OptionContainer) -> None:
    add_options(
        group,
        [
            Option("--stay", "stay up with heartbeats, and reconnect, until SIGTERM or Ctrl-C"),
            Option("--messages", "print the messages, too"),
        ],
    )
    for row in (
        Option("--heartbeat-interval", "time between heartbeats", _TIMEOUT, default=30.0),
        Option("--heartbeat-timeout", "time-out of a heartbeat", _TIMEOUT, default=5.0),
        Option("--heartbeat-misses", "time-outs of a heartbeat that may pass before the last one", _COUNT, default=2),
        Option("--retries", "retries in a row", _COUNT, default=3),
        Option("--retry-delay", "pause before the first retry", _TIMEOUT, default_text="1 to 10, by cause"),
        Option("--retry-cap", "longest pause before a retry", _TIMEOUT, default=30.0),
        Option("--settled", "time after which a connection ends a row of retries", _TIMEOUT, default=60.0),
        Option("--renew-before", "time before the token's expiry at which a new one is read", _TIMEOUT, default=60.0),
    ):
        _add(group, row)


def _add(container: OptionContainer, row: Option) -> None:
    """Add an option whose default an environment variable can set."""
    variable = PREFIX + row.dest.upper()
    settings = row.settings()
    if os.environ.get(variable):
        settings["default"] = _of_environment(row, variable)
    container.add_argument(row.name, **settings | {"help": f"{row.text} [{variable}]"})


def _of_environment(row: Option, variable: str) -> Any:  # noqa: ANN401 - a value of the option
    text = os.environ.get(variable, "")
    if row.choices and text not in row.choices:
        raise CommandError(f"the environment variable {variable}: {text!r} is not {' or '.join(row.choices)}")
    try:
        return row.value.read(text) if row.value is not None and text else text or None
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"the environment variable {variable}: {error}") from None


def choose(args: argparse.Namespace) -> ConnectPlan:
    """Return what the options choose. Raises CommandError if they are wrong, ProfileError for an invalid profile."""
    address = address_of(args) or (_of_environment(RELAY[0], _RELAY) if args.profile is None else None)
    if address is None and args.profile is None:
        raise CommandError(f"no relay is named: add HOST:PORT, or set {_RELAY}")
    profile = relay_profile(address, args.profile) if args.profile is not None else Profile()
    address = address or profile.target.address
    if address is None:
        raise RuntimeError("a completed profile has an address")
    if profile.tls.client_certificate is not None:
        raise CommandError(f"{profile.path}: tls.client_certificate: cbspec connect presents no certificate")
    target, where = profile.target, (address.host, address.port)
    transport = args.transport or ("tcp" if target.transport == "auto" else target.transport)
    way = {"transport": transport, "path": args.path or target.websocket_path}
    way |= {"server_name": args.server_name or target.server_name}
    development = args.development or is_loopback(address.host)
    tunnels = [*args.tunnel, *(read_tunnels(args.tunnels) if args.tunnels else [])]
    provide = _named_token(args) or _token_of(profile, args)
    remedy = f"use --token-file, --token-env, {PREFIX}TOKEN or --development"
    if args.insecure or not profile.tls.verify:
        provide = provide or ((lambda: _development_token(args)) if args.development else None)
        if provide is None and (tunnels or args.stay):
            wish = "--stay" if args.stay else "--tunnel"
            raise CommandError(f"{wish} needs a token, and --insecure sends only one that an option names; {remedy}")
        warning = "the relay's certificate isn't verified: the token may reach another server" if provide else ""
        return ConnectPlan(where, Trust.ANY, provide or str, tunnels, warning, **way)
    if provide is None and not development:
        raise CommandError(f"{address.host} isn't loopback, so no token is generated for it; {remedy}")
    ca = _trust(args.ca or profile.tls.ca, development=development)
    return ConnectPlan(where, ca, provide or (lambda: _development_token(args)), tunnels, "", **way)


def _token_of(profile: Profile, args: argparse.Namespace) -> Callable[[], str] | None:
    """Return the provider of the profile's tokens, if it has any."""
    if not profile.tokens.has_key and not profile.tokens.ready:
        return None
    issuer, tenant = Issuer(profile.tokens, time.time), args.tenant or getattr(profile.main_tenant, "id", "")
    try:
        issuer.valid(tenant, args.subject)
    except ProfileLacks as lack:
        raise CommandError(f"{profile.path}: {lack}") from None
    return lambda: issuer.valid(tenant, args.subject)


def heartbeats(args: argparse.Namespace) -> Heartbeats:
    """Return when heartbeats are sent."""
    return Heartbeats(args.heartbeat_interval, args.heartbeat_timeout, args.heartbeat_misses)


def retries(args: argparse.Namespace) -> RetryPolicy:
    """Return when to retry."""
    return RetryPolicy(args.retries, args.retry_delay, cap=args.retry_cap, settled=args.settled)


def _trust(ca: ChosenCA | None, *, development: bool) -> Path | Trust:
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
        token = checked_token(os.environ.get(variable, ""), f"the environment variable {variable}")
        return lambda: token
    if file is None:
        return None
    read_token(file)

    def provide() -> str:
        try:
            return read_token(file)
        except CommandError as error:
            raise TokenUnavailable(str(error)) from None

    return provide


def _development_token(args: argparse.Namespace) -> str:
    now = int(time.time())
    claims = {
        "sub": args.subject or "user123",
        "tenant_id": args.tenant or "tenant-001",
        "iat": now,
        "exp": now + _HOUR,
    }
    return mint(SigningKey.hmac(DEVELOPMENT_SECRET), claims)


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


_COUNT: Final = ValueKind("N", _count)
_TIMEOUT: Final = ValueKind("SECONDS", _seconds)
