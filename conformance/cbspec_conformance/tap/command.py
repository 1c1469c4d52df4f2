"""`cbspec tap`: stands between a client and a relay until Ctrl-C, and judges both."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import ssl
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from cbspec.errors import CommandError
from cbspec.options import FAIL_ON, KEY_LOG, RELAY, add_options, address_of, relay_profile
from cbspec.profile.identity import DevelopmentCA, development_ca
from cbspec.profile.target import Endpoint, Profile
from cbspec.tls_contexts import server_context
from cbspec_conformance.record.saved import TranscriptError
from cbspec_conformance.tap.display import lines, trouble
from cbspec_conformance.tap.rows import Row
from cbspec_conformance.tap.server import TapServer
from cbspec_conformance.tap.splice import TapTarget
from cbspec_conformance.tap.verdict import TapVerdict, judge_file, write_verdict
from cbspec_conformance.target.connector import context_for

_HOST: Final = "127.0.0.1"
_NAMES: Final = ("localhost", _HOST, "::1")
_PATIENCE: Final = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cbspec tap`."""
    group = parser.add_argument_group("the two sides")
    add_options(group, (row for row in RELAY if row.name != "--token-file"))  # the client sends its own
    add = group.add_argument
    add(
        "--listen",
        type=_place,
        default=(_HOST, 0),
        metavar="[HOST:]PORT",
        help="address for the client (default: any free port of 127.0.0.1)",
    )
    add(
        "--name",
        action="append",
        default=[],
        metavar="NAME",
        help="another name in the tap's certificate, such as the container's (repeatable)",
    )
    add("--server-name", metavar="NAME", help="name that the relay's certificate must have (default: HOST)")
    add("--insecure", action="store_true", help="don't verify the relay's certificate")
    add(
        "--client-certificate",
        type=Path,
        metavar="FILE",
        help="certificate chain and key for a relay that asks for them (PEM)",
    )
    group = parser.add_argument_group("the verdict")
    add = group.add_argument
    add(
        "--answer-timeout",
        type=_seconds,
        default=_PATIENCE,
        metavar="SECONDS",
        help=f"an answer is missing after this time if the relay answers others (default: {_PATIENCE:g})",
    )
    add_options(group, [replace(FAIL_ON, help="lowest level that fails a side")])
    add = parser.add_argument_group("output").add_argument
    add("--transcript", type=Path, metavar="FILE", help="write the traffic without tokens, for cbspec judge FILE")
    add(KEY_LOG.name, **KEY_LOG.settings())
    add("--json", action="store_true", help="print a line of JSON when ready, and one with the verdicts at the end")
    add("-v", "--verbose", action="store_true", help="print each message and event")


def run(args: argparse.Namespace) -> int:
    """Pass traffic on until SIGINT or SIGTERM; print the verdicts and return the exit code."""
    authority = development_ca()
    relay = relay_profile(address_of(args), args.profile, args.ca)
    if relay.target.address is None:
        raise RuntimeError("a completed profile has an address")
    name = args.server_name or relay.target.server_name or relay.target.address.host
    target = TapTarget(relay.target.address, name, _context(relay, args))
    serving = _serving(authority, relay.target.address.host, args)
    with _file(args.transcript) as (file, path):
        error = asyncio.run(_serve(args, target, serving, authority.ca_file, file))
        if error:
            print(f"cbspec tap: {args.transcript or 'the record of the traffic'}: {error}", file=sys.stderr)
        return _conclude(path, args)


def _conclude(path: Path, args: argparse.Namespace) -> int:
    try:
        verdict = judge_file(path, fail_on_should=args.fail_on == "should")
    except TranscriptError as error:
        raise CommandError(str(error)) from None
    if args.json:
        print(json.dumps(_as_json(verdict)), flush=True)
    else:
        write_verdict(verdict, lambda text, **markup: print(text))
    return verdict.exit_code


def _as_json(verdict: TapVerdict) -> dict[str, Any]:
    sides = {"relay": verdict.relay, "client": verdict.clients}
    return {
        "exit_code": int(verdict.exit_code),
        **{
            side: {
                "passed": result.green,
                "requirements": {
                    row.requirement.id: {
                        "level": row.requirement.level,
                        "outcome": row.outcome or "not selected",
                        "findings": [{"expected": f.expected, "seen": f.seen, "case": f.case} for f in row.findings],
                    }
                    for row in result.verdicts
                },
            }
            for side, result in sides.items()
        },
    }


async def _serve(
    args: argparse.Namespace, target: TapTarget, serving: ssl.SSLContext, ca_file: Path, file: IO[bytes]
) -> str:
    """Serve until a signal; return the error of the file, or ""."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def follow(row: Row) -> None:
        if args.verbose:
            for line in lines(row):
                print(line, file=sys.stderr if args.json else sys.stdout, flush=True)
        elif text := trouble(row):
            print(f"cbspec tap: {text}", file=sys.stderr, flush=True)

    try:
        server = TapServer(args.listen, target, serving, file, patience=args.answer_timeout, follow=follow)
    except OSError as error:
        host, port = args.listen
        raise CommandError(f"--listen: {Endpoint(host, port) if port else host}: {error.strerror}") from None
    async with server:
        _announce(server, target, ca_file, args)
        await ended.wait()
    return server.error


def _announce(server: TapServer, target: TapTarget, ca_file: Path, args: argparse.Namespace) -> None:
    host, port = server.address
    if args.json:
        facts = {"host": host, "port": port, "ca_file": str(ca_file), "target": str(target.endpoint)}
        print(json.dumps(facts), flush=True)
        return
    print(f"Tap on {Endpoint(host, port)}, in front of the relay at {target.endpoint}")
    print(f"CA file that the client must trust: {ca_file}")
    print("Stop it, and print the verdicts: Ctrl-C", flush=True)


def _context(relay: Profile, args: argparse.Namespace) -> ssl.SSLContext:
    """Return the context towards the relay. Raises CommandError."""
    if args.insecure:
        relay = replace(relay, tls=replace(relay.tls, verify=False))
    try:
        context = context_for(relay.tls)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"--ca: {relay.tls.ca}: {error.strerror or error}") from None
    if args.client_certificate is not None:
        try:
            context.load_cert_chain(args.client_certificate)
        except (OSError, ssl.SSLError) as error:
            raise CommandError(f"--client-certificate: {args.client_certificate}: {error.strerror or error}") from None
    return context


def _serving(authority: DevelopmentCA, relay: str, args: argparse.Namespace) -> ssl.SSLContext:
    """Return the context towards clients, with a certificate for every name by which they may reach the tap."""
    names = dict.fromkeys((*_NAMES, args.listen[0], relay, *args.name))
    names.pop("0.0.0.0", None)  # noqa: S104 - no address of a certificate
    names.pop("::", None)
    chain, key = authority.issue(*names)
    with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:  # OpenSSL reads certificates from files only
        file = Path(folder, "tap.pem")
        file.touch(mode=0o600)
        file.write_bytes(key + chain)
        return server_context(file)


@contextlib.contextmanager
def _file(transcript: Path | None) -> Iterator[tuple[IO[bytes], Path]]:
    """Give the file for the rows, which is deleted at the end if the user wants none."""
    if transcript is not None:
        try:
            file = transcript.open("wb")
        except OSError as error:
            raise CommandError(f"--transcript: {transcript}: {error.strerror}") from None
        with file:
            yield file, transcript
        return
    with tempfile.NamedTemporaryFile(prefix="cbspec-tap-") as temporary:
        yield temporary, Path(temporary.name)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port, or host:port, not {text!r}")
    return host.removeprefix("[").removesuffix("]") or _HOST, int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds
