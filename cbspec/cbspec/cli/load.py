"""`cbspec load`: many clients at once against a relay, on Locust, with every exchange watched.

Exit codes: 0 every session went well, 1 the relay broke the protocol, refused or fell silent, 2 wrong usage or no
relay, 130 interrupted before all clients had come.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from time import time as now
from typing import Literal

from cbspec.cli import BEHIND_DASHES
from cbspec.cli.load_settings import Settings, token_source
from cbspec.descriptors import take_all
from cbspec.errors import CommandError
from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from cbspec_conformance.target.relay import RelayUnderTest

_LOCUSTFILE = Path(__file__).with_name("load_locustfile.py")
_MASTER, _PAGE = Endpoint("127.0.0.1", 5557), Endpoint("127.0.0.1", 8089)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec load`."""
    parser.epilog = "What follows -- goes to Locust as it is, for example: -- --processes 2 --html report.html"
    parser.add_argument(
        "address", nargs="?", type=_endpoint, metavar="HOST:PORT", help="the relay (default: the profile's)"
    )
    parser.add_argument("--sessions", type=_count, default=100, metavar="N", help="clients that come (default: 100)")
    parser.add_argument(
        "--rate", type=_positive, default=10.0, metavar="R", help="of whom R come each second (default: 10)"
    )
    parser.add_argument(
        "--hold", type=_seconds, default=10.0, metavar="S", help="and each holds its session S seconds (default: 10)"
    )
    parser.add_argument(
        "--run-time", metavar="TIME", help="let each come again when its session is over, for 90s, 20m or 3h"
    )
    parser.add_argument(
        "--heartbeat", type=_positive, default=10.0, metavar="SECONDS", help="between a session's heartbeats (10)"
    )
    parser.add_argument("--timeout", type=_positive, default=10.0, metavar="SECONDS", help="for each answer (10)")
    parser.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait for the relay to be there (0)"
    )
    parser.add_argument("--target-profile", type=Path, metavar="FILE", help="what may be known of the relay (TOML)")
    parser.add_argument("--transport", choices=("auto", "tcp", "websocket"), help="default: the profile's")
    parser.add_argument(
        "--tenant", action="append", default=[], metavar="ID", help="whose clients they are; several take turns"
    )
    parser.add_argument("--user", type=Path, metavar="FILE", help="a Python file with subclasses of RelayUser")
    parser.add_argument("--csv", metavar="PREFIX", help="write Locust's CSV files: PREFIX_stats.csv and others")
    parser.add_argument("--web", action="store_true", help="show Locust's web page, and leave it there at the end")
    parser.add_argument("--web-address", type=_endpoint, default=_PAGE, help=f"where (default: {_PAGE})")
    role = parser.add_mutually_exclusive_group()
    role.add_argument("--master", action="store_true", help="lead workers, and send nothing to the relay oneself")
    role.add_argument("--worker", action="store_true", help="do what a master says")
    parser.add_argument(
        "--master-address", type=_endpoint, default=_MASTER, help=f"where the master listens (default: {_MASTER})"
    )
    parser.add_argument("--workers", type=_count, default=1, metavar="K", help="workers that a master waits for (1)")
    parser.add_argument("locust", nargs="*", metavar=BEHIND_DASHES, help="Locust's own options")


def run(args: argparse.Namespace) -> int:
    """Look whether there is a relay, and become Locust. Raises CommandError."""
    if find_spec("locust") is None:
        raise CommandError("load needs Locust, which the extra `load` brings: pip install 'cbspec[load]'")
    _check_files(args)
    settings = _settings(args)
    profile = settings.profile()
    settings = replace(settings, tenants=settings.tenants or _main_tenant(profile))
    _check_tokens(profile, settings.tenants)
    settings = replace(settings, transport="tcp" if args.master else _look(profile, args.wait))
    take_all()
    command = [sys.executable, "-P", "-m", "locust", *_locust(args, profile)]
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the locustfile can answer it: none is lost
    os.execve(sys.executable, command, settings.to_environment())  # noqa: S606 - ourselves; Ctrl-C goes to Locust alone


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        address=str(args.address) if args.address else "",
        profile_file=str(args.target_profile) if args.target_profile else "",
        transport=args.transport,
        tenants=tuple(args.tenant),
        hold=args.hold,
        pause=args.heartbeat,
        timeout=args.timeout,
        again=args.run_time is not None,
        user_file=str(args.user.resolve()) if args.user else "",
    )


def _check_files(args: argparse.Namespace) -> None:
    if args.user is not None and not args.user.is_file():
        raise CommandError(f"--user {args.user}: there is no such file; name a Python file with a RelayUser in it")
    if args.csv is not None:
        folder = Path(args.csv).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--csv {args.csv}: {error.filename}: {error.strerror}; name another prefix") from None
        if not os.access(folder, os.W_OK):
            raise CommandError(f"--csv {args.csv}: its folder can't be written to; name a prefix in one that can")
    if args.master:
        _check_port("--master-address", args.master_address)
    if args.web:
        _check_port("--web-address", args.web_address)


def _check_port(option: str, endpoint: Endpoint) -> None:
    try:
        (family, *_, address), *_ = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        socket.create_server(address[:2], family=family).close()
    except socket.gaierror as error:
        raise CommandError(f"{option} {endpoint}: {error.strerror}; name another") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CommandError(f"{option} {endpoint}: {reason}; name another") from None
    except UnicodeError:
        raise CommandError(f"{option} {endpoint}: that can be no host's name; name another") from None


def _main_tenant(profile: Profile) -> tuple[str, ...]:
    if profile.main_tenant is None:
        raise CommandError("no tenant is known whose clients could come: name one by --tenant, or tenants in a profile")
    return (profile.main_tenant.id,)


def _check_tokens(profile: Profile, tenants: Sequence[str]) -> None:
    try:
        token_source(profile, tenants)
    except ProfileLacks as lack:
        raise CommandError(f"no token can be had: {lack}; give --target-profile a profile that holds it") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"tokens: {error}") from None


def _look(wanted: Profile, wait: float) -> Literal["tcp", "websocket"]:
    """Return the transport that the relay speaks; raises CommandError where there is none."""
    target = RelayUnderTest(
        wanted,
        Facts(),
        "preflight",
        locks=Locks(None),
        pace=Pacer(wanted),
        issuer=Issuer(wanted.tokens, now),
        tempo=Tempo.of(wanted.target, Facts().latency),
    )
    try:
        wait_for(target, wait)
        return "websocket" if examine(target).transport == "websocket" else "tcp"
    except NoTarget as error:
        raise CommandError(str(error)) from None
    finally:
        target.close()


def _locust(args: argparse.Namespace, profile: Profile) -> list[str]:
    """Return Locust's own command line."""
    options = ["-f", str(_LOCUSTFILE), "--host", str(profile.target.address), "--loglevel", "WARNING", "--only-summary"]
    master, page = args.master_address, args.web_address
    if args.worker:
        return [*options, "--worker", "--master-host", master.host, "--master-port", str(master.port), *args.locust]
    options += ["-u", str(args.sessions), "-r", f"{args.rate:g}"]
    if args.run_time is not None:
        options += ["--run-time", args.run_time]
    if args.csv is not None:
        options += ["--csv", args.csv]
    if args.master:
        options += ["--master", "--master-bind-host", master.host, "--master-bind-port", str(master.port)]
        options += ["--expect-workers", str(args.workers)]
    if args.web:
        print(f"http://{page}/ shows the load; Ctrl-C ends it", file=sys.stderr)
        options += ["--autostart", "--web-host", page.host, "--web-port", str(page.port)]
    else:
        options.append("--headless")
    return [*options, *args.locust]


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a number from 1 to 1000000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, a day at most, not {text!r}")
    return value


def _positive(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value
