"""`cbspec connect`: a session from the shell.

A relay that refused, broke the protocol or didn't answer counts as not conforming; if no connection was made, there is
nothing to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from cbspec.errors import CommandError
from cbspec.exit_codes import ExitCode
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca_file, is_loopback
from cbspec.tls_contexts import Trust
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client.client import Timeouts, connect
from cbspec_client.display import Display
from cbspec_client.errors import CertificateNotTrusted, ClientError, ConnectFailed, Misuse, TlsRefused
from cbspec_client.session import Transport

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+):(?P<port>\d+)", re.ASCII)
_TUNNEL = re.compile(r"(?P<id>.+?):(?P<local>\d+):" + _ADDRESS.pattern, re.ASCII)
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _Plan:
    """Trust and token, chosen by the options."""

    ca: Path | Trust
    token: str = field(repr=False)
    warning: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec connect`."""
    parser.add_argument("address", type=_address, metavar="HOST:PORT", help="address of the relay")
    parser.add_argument("--transport", choices=[*Transport], default="tcp", help="tcp or websocket (default: tcp)")
    parser.add_argument("--path", default="/", help="path of the WebSocket request (default: /)")
    parser.add_argument("--server-name", metavar="NAME", help="name that the certificate must have (default: HOST)")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca",
        metavar="FILE",
        help="trusted CA: a PEM file, 'development' (default on loopback) or 'system' (default elsewhere)",
    )
    trust.add_argument(
        "--insecure", action="store_true", help="don't verify the certificate, and send no generated token"
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument("--token-file", type=Path, metavar="FILE", help="file that contains the token")
    token.add_argument("--token-env", metavar="NAME", help="environment variable that contains the token")
    parser.add_argument(
        "--development", action="store_true", help="use the development CA and a development token for any address"
    )
    parser.add_argument("--tenant", default="tenant-001", help="tenant in a development token (default: tenant-001)")
    parser.add_argument("--subject", default="user123", help="subject in a development token (default: user123)")
    parser.add_argument(
        "--tunnel",
        type=_tunnel,
        action="append",
        default=[],
        metavar="ID:LOCAL_PORT:HOST:PORT",
        help="open a tunnel (may be repeated)",
    )
    parser.add_argument("--heartbeats", type=_count, default=1, metavar="N", help="number of heartbeats (default: 1)")
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="time-out for each step (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON per message and one for the outcome")


def run(args: argparse.Namespace) -> int:
    """Run the session; return the exit code. Raises CommandError if the options are wrong."""
    plan = _plan(args)
    display = Display(plan.token, as_json=args.json)
    if plan.warning:
        display.warn(plan.warning)
    try:
        asyncio.run(_session(args, plan, display))
    except ClientError as error:
        display.failed(error)
        return _exit_code(error, display)
    display.succeeded()
    return ExitCode.SUCCESS


def _exit_code(error: ClientError, display: Display) -> ExitCode:
    """Return the exit code that the suite would give in the same case."""
    match error:
        case CertificateNotTrusted():
            display.warn("name its CA with --ca, or its name with --server-name")
            return ExitCode.NOTHING_TO_JUDGE
        case Misuse():
            return ExitCode.WRONG_USE
        case ConnectFailed() if not isinstance(error, TlsRefused):
            return ExitCode.NOTHING_TO_JUDGE
    return ExitCode.NOT_CONFORMING


async def _session(args: argparse.Namespace, plan: _Plan, display: Display) -> None:
    limit = args.timeout
    async with connect(
        *args.address,
        transport=args.transport,
        ca=plan.ca,
        server_name=args.server_name,
        path=args.path,
        timeouts=Timeouts(connect=limit, answer=limit, heartbeat=limit, close=min(limit, 2.0)),
        exchange=display.passed,
    ) as client:
        if client.address != args.address[0] and not is_loopback(args.address[0]):
            display.say(f"{args.address[0]} answers at {client.address}")
        await client.hello()
        if not plan.token:
            display.say("no token is sent without a verified certificate, so the session ends here")
            return
        await client.authenticate(plan.token)
        for tunnel in args.tunnel:
            await client.open_tunnel(*tunnel)
        times = [await client.heartbeat() for _ in range(args.heartbeats)]
        slowest = f", each answered within {max(times) * 1000:.1f} ms" if times else ""
        display.say(f"ok: {len(args.tunnel)} tunnels open, {len(times)} heartbeats{slowest}")


def _plan(args: argparse.Namespace) -> _Plan:
    development = args.development or is_loopback(args.address[0])
    token = _named_token(args)
    remedy = "use --token-file, --token-env or --development"
    if args.insecure:
        token = token or (_development_token(args) if args.development else "")
        if not token and args.tunnel:
            raise CommandError(f"--tunnel needs a token, and --insecure sends no generated one; {remedy}")
        warning = "the relay's certificate isn't verified: the token may reach another server" if token else ""
        return _Plan(Trust.ANY, token, warning)
    if not token and not development:
        raise CommandError(f"{args.address[0]} isn't loopback, so no token is generated for it; {remedy}")
    return _Plan(_trust(args.ca, development=development), token or _development_token(args))


def _trust(ca: str | None, *, development: bool) -> Path | Trust:
    match ca or ("development" if development else "system"):
        case "development":
            return development_ca_file()
        case "system":
            return Trust.SYSTEM
        case file:
            return Path(file)


def _named_token(args: argparse.Namespace) -> str:
    if args.token_env is not None:
        token = os.environ.get(args.token_env, "").strip()
        source = f"the environment variable {args.token_env}"
    elif args.token_file is not None:
        source = str(args.token_file)
        try:
            token = args.token_file.read_text("utf-8").strip()
        except OSError as error:
            raise CommandError(f"{source}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"{source} is not a text file, so it contains no token") from None
    else:
        return ""
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


def _tunnel(text: str) -> tuple[str, int, str, int]:
    match = _TUNNEL.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID:LOCAL_PORT:HOST:PORT, as in rdp:3389:192.168.1.100:3389")
    return match["id"], _port(match["local"]), match["host"].strip("[]"), _port(match["port"])


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
