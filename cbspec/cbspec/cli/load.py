"""`cbspec load`: put a relay under load with Locust, and check every exchange."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from cbspec.cli import AFTER_DASHES
from cbspec.cli.load_settings import Settings, token_source
from cbspec.descriptors import raise_limit
from cbspec.documents import option_type
from cbspec.errors import CommandError, NothingToJudge
from cbspec.options import ADDRESS, FILE, ID, RELAY, TRANSPORT, WAIT, Option, ValueKind, add_options, address_of
from cbspec.profile.issuer import ProfileLacks
from cbspec.profile.profile import Endpoint, Profile
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts

_LOCUSTFILE = Path(__file__).with_name("load_locustfile.py")
_DAY = 86_400
_MASTER, _PAGE = Endpoint("127.0.0.1", 5557), Endpoint("127.0.0.1", 8089)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec load`."""
    parser.epilog = "Options after -- are passed to Locust, for example: -- --processes 2 --html report.html"
    count, seconds = (
        ValueKind("N", option_type(Annotated[int, Meta(ge=1, le=1_000_000)])),
        ValueKind("SECONDS", option_type(Annotated[float, Meta(ge=0, le=_DAY)])),
    )
    positive = option_type(Annotated[float, Meta(gt=0, le=_DAY)])
    some = ValueKind("SECONDS", positive)
    add_options(parser.add_argument_group("the relay"), [*RELAY, TRANSPORT, replace(WAIT, value=seconds)])
    add_options(
        parser.add_argument_group("the sessions"),
        [
            Option("--sessions", "start N sessions", count, default=100),
            Option("--rate", "start N sessions per second", ValueKind("N", positive), default=10.0),
            Option("--hold", "hold each session for this time", seconds, default=10.0),
            Option(
                "--run-time", "restart sessions for this time: 90s, 20m or 3h", ValueKind("TIME"), default_text="once"
            ),
            Option("--heartbeat", "time between heartbeats", some, default=10.0),
            Option("--timeout", "time-out for each answer", some, default=10.0),
            Option("--tenant", "tenant of the clients; if repeated, they alternate", ID, repeatable=True),
            Option("--user", "Python file with subclasses of RelayUser to run as clients", FILE),
        ],
    )
    add_options(
        parser.add_argument_group("output"),
        [
            Option("--csv", "write Locust's CSV files: PREFIX_stats.csv and others", ValueKind("PREFIX")),
            Option("--web", "serve Locust's web page until Ctrl-C"),
            Option("--web-address", "address of the web page", ADDRESS, default=_PAGE),
        ],
    )
    group = parser.add_argument_group("several processes or machines")
    add_options(
        group.add_mutually_exclusive_group(),
        [
            Option("--master", "coordinate workers, without sessions of its own"),
            Option("--worker", "run sessions for a master"),
        ],
    )
    add_options(
        group,
        [
            Option("--master-address", "address of the master", ADDRESS, default=_MASTER),
            Option("--workers", "number of workers to wait for", count, default=1),
        ],
    )
    parser.add_argument("locust", nargs="*", metavar=f"{AFTER_DASHES}OPTION", help="options for Locust")


def run(args: argparse.Namespace) -> int:
    """Check the options and the relay, then replace the process by Locust. Raises CommandError."""
    _check_files(args)
    settings = _settings(args)
    profile = settings.profile()
    if not settings.tenants:
        if profile.main_tenant is None:
            raise CommandError("no tenant is known: give --tenant, or a profile with tenants")
        settings = replace(settings, tenants=(profile.main_tenant.id,))
    _check_tokens(profile, settings.tenants)
    if args.master:
        settings = replace(settings, transport="tcp")
    else:
        facts = _examined(profile, args.wait)
        settings = replace(settings, transport=_transport(facts), host_address=facts.address)
    raise_limit()
    command = [sys.executable, "-P", "-m", "locust", *_locust(args, profile)]
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the locustfile unblocks it: no Ctrl-C is lost
    os.execve(sys.executable, command, settings.to_environment())  # noqa: S606 - our own interpreter; only Locust receives Ctrl-C


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        address=str(address_of(args) or ""),
        profile_file=str(args.profile or ""),
        ca=str(args.ca.resolve() if isinstance(args.ca, Path) else args.ca or ""),
        token_file=str(args.token_file.resolve() if args.token_file else ""),
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
        raise CommandError(f"--user {args.user}: no such file; give a Python file with a subclass of RelayUser")
    if args.csv is not None:
        folder = Path(args.csv).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"--csv {args.csv}: {error.filename}: {error.strerror}; use another prefix") from None
        if not os.access(folder, os.W_OK):
            raise CommandError(f"--csv {args.csv}: the folder is not writable; use another prefix")
    if args.master:
        _check_port("--master-address", args.master_address)
    if args.web:
        _check_port("--web-address", args.web_address)


def _check_port(option: str, endpoint: Endpoint) -> None:
    try:
        (family, *_, address), *_ = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        socket.create_server(address[:2], family=family).close()
    except socket.gaierror as error:
        reason = error.strerror
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
    except UnicodeError:
        reason = "this is not a valid host name"
    else:
        return
    raise CommandError(f"{option} {endpoint}: {reason}; use another address")


def _check_tokens(profile: Profile, tenants: Sequence[str]) -> None:
    try:
        token_source(profile, tenants)
    except ProfileLacks as lack:
        raise CommandError(f"no token can be minted: {lack}; give it in a profile (--profile)") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"tokens: {error}") from None


def _transport(facts: Facts) -> Literal["tcp", "websocket"]:
    return "websocket" if facts.transport == "websocket" else "tcp"


def _examined(wanted: Profile, wait: float) -> Facts:
    """Return the facts about the relay, after printing its address if its name has several. Raises NothingToJudge."""
    target = RelayUnderTest(SharedParts(wanted), Facts(), "preflight")
    try:
        wait_for(target, wait)
        facts = examine(target)
    except NoTarget as error:
        raise NothingToJudge(str(error)) from None
    finally:
        target.close()
    if facts.address:
        print(f"{target.endpoint} answers at {facts.address}, to which all sessions connect", file=sys.stderr)
    return facts


def _locust(args: argparse.Namespace, profile: Profile) -> list[str]:
    """Return the command line of Locust."""
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
        print(f"web page: http://{page}/ (Ctrl-C ends it)", file=sys.stderr)
        options += ["--autostart", "--web-host", page.host, "--web-port", str(page.port)]
    else:
        options.append("--headless")
    return [*options, *args.locust]
