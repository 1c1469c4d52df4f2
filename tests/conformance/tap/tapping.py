"""A tap in a thread of its own, and a client that sends what a test wants through it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cbspec.profile.identity import development_ca
from cbspec.profile.target import Endpoint
from cbspec.tls_contexts import client_context, server_context
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.reporting.report import RunResult
from cbspec_conformance.tap.rows import Row
from cbspec_conformance.tap.server import TapServer
from cbspec_conformance.tap.splice import TapTarget
from cbspec_conformance.tap.verdict import TapVerdict, judge_file
from cbspec_simulator.testing.thread import LoopThread
from tests.support.client import RawClient

PATIENCE = 0.5
"""Seconds after which the tap takes an answer for missing, if the relay answers others."""


@dataclass(slots=True)
class Tapped:
    """A running tap: its address, the rows so far, and after its end the file with them."""

    address: tuple[str, int]
    file: Path
    rows: list[Row] = field(default_factory=list)

    def client(self, transport: str = "tcp") -> RawClient:
        """Connect to the relay through the tap."""
        made = RawClient(self.address, transport, client_context(development_ca().ca_file))
        try:
            return made.handshake().upgraded()
        except BaseException:
            made.socket.close()
            raise

    def verdict(self) -> TapVerdict:
        """Return the verdicts, after the end of the tap."""
        return judge_file(self.file)


@contextlib.contextmanager
def tapped(relay: tuple[str, int], folder: Path, ca: Path | None = None) -> Iterator[Tapped]:
    """Run a tap in front of a relay, with its rows in a file of `folder`."""
    thread = LoopThread("tap")
    file = folder / "tap.jsonl"
    rows: list[Row] = []
    try:
        with file.open("wb") as opened:
            server = thread.call(lambda: _made(relay, opened, rows.append, ca))
            thread.run(server.__aenter__())
            try:
                yield Tapped(server.address, file, rows)
            finally:
                thread.run(server.__aexit__(None, None, None))
    finally:
        thread.close()


def _made(relay: tuple[str, int], file: IO[bytes], follow: Callable[[Row], object], ca: Path | None) -> TapServer:
    authority = development_ca()
    chain, key = authority.issue("localhost", "127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder, "tap.pem")
        pem.write_bytes(key + chain)
        serving = server_context(pem)
    target = TapTarget(Endpoint(*relay), "localhost", client_context(ca or authority.ca_file))
    return TapServer(("127.0.0.1", 0), target, serving, file, patience=PATIENCE, follow=follow)


def broken(result: RunResult) -> set[str]:
    """Return the requirements that were broken."""
    bad = (Outcome.FAILED, Outcome.WARNED)
    return {verdict.requirement.id for verdict in result.verdicts if verdict.outcome in bad}


def told(result: RunResult) -> str:
    """Return what broke the requirements, for a failing test."""
    bad = (Outcome.FAILED, Outcome.WARNED)
    return json.dumps(
        [[f.requirement, f.expected, f.seen] for v in result.verdicts for f in v.findings if f.outcome in bad]
    )
