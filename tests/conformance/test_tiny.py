"""Relays of a few lines: mistakes and excess get the right verdicts at a bounded cost, and no limit is exceeded."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from tests.conformance.build import error
from tests.conformance.commands import Done, run, simulator, verdict, verify
from tests.conformance.tiny import Answer, accept, tiny_relay
from tests.support.few import few
from tests.support.relay import frame

NOISE = random.Random(0).randbytes(40).replace(b"\n", b"")  # noqa: S311 - no secret
"""Bytes that are no JSON; a line feed among them could leave a digit alone on a line, which is."""

SHORT = "timeout = 2.0\ntimeout_least = 1.0\n"
"""Settings of a target: time-outs that are shorter than usual."""

WITHOUT_MESSAGES = ("CB-TLS", "CB-CMP-003", "CB-WSK-001")
"""Prefixes of the requirements that can pass whatever the relay answers."""


def judged(answer: Answer, transport: str, folder: Path, *options: str) -> Done:
    """Run the suite against a tiny relay."""
    profile = folder / "profile.toml"
    with tiny_relay(answer, folder, websocket=transport == "websocket") as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\n{SHORT}')
        done = verify("--profile", str(profile), "--transport", transport, "--effort", "quick", *options)
    assert "Errors of the kit" not in done.text
    assert "Traceback" not in done.text
    return done


@pytest.mark.parametrize(
    ("answer", "transport", "broken"),
    [
        (lambda text: text, "websocket", "CB-MSG-003"),
        (lambda text: NOISE, "tcp", "CB-MSG-001"),
    ],
    ids=["echoes", "random-bytes"],
)
def test_a_relay_without_hello_passes_nothing(answer: Answer, transport: str, broken: str, tmp_path: Path) -> None:
    done = judged(answer, transport, tmp_path)
    assert done.code == 1, done.text
    assert f"did not pass: {broken}" in done.text
    assert verdict(done.text, "failed") == 1
    assert verdict(done.text, "passed") <= sum(row.id.startswith(WITHOUT_MESSAGES) for row in REQUIREMENTS.values())


def test_a_relay_that_accepts_everything_fails_every_refusal(tmp_path: Path) -> None:
    refusals = ("CB-AUT-005", "CB-AUT-012", "CB-TUN-003", "CB-TUN-010", "CB-UNK-001", "CB-MSG-005")
    others = ("CB-HEL-001", "CB-AUT-001", "CB-TUN-001")
    done = judged(accept, "websocket", tmp_path, "--own-cases", "--only", ",".join(refusals + others))
    assert done.code == 1, done.text
    failed = set(re.findall(r"^(CB-\S+) ", done.text.split("Failed: ")[1].split("Details")[0], re.MULTILINE))
    assert failed.issuperset(refusals)
    assert failed.isdisjoint(others)


def test_a_silent_listener_is_no_target(tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    with tiny_relay(lambda text: None, tmp_path) as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\ntimeout = 1.0\ntimeout_least = 1.0\n')
        done = verify("--profile", str(profile))
    assert done.code == 3, done.text
    assert "a hello as one line of JSON ending in a line feed, and a WebSocket's opening handshake" in done.text
    assert "nothing came back within 1 s" in done.text
    assert "Requirements by chapter" not in done.text


def test_the_report_says_that_a_relay_speaks_tls_1_2_only(tmp_path: Path) -> None:
    with tiny_relay(accept, tmp_path, version=ssl.TLSVersion.TLSv1_2) as endpoint:
        done = verify(str(endpoint), "--effort", "quick")
    assert done.code == 1, done.text
    assert "CB-TLS-001 a TLS 1.3 handshake that …" in done.text
    assert "the relay speaks TLS 1.2 only" in done.text
    assert len(done.text.partition("Failed: 1")[2].splitlines()) < 50, done.text


def test_a_ping_without_a_pong_is_shown(tmp_path: Path) -> None:
    with simulator(tmp_path, "--deviation", "websocket-ping-unanswered") as profile:
        profile.write_text(re.sub(r"(?m)^timeout = .*\ntimeout_least = .*\n", SHORT, profile.read_text()))
        done = verify("--profile", str(profile), "--own-cases", "--only", "CB-WSK-004")
    assert verdict(done.text, "failed") == 1
    assert re.search(r"> #\d -> \[a ping with ", done.text)
    assert "in vain for a pong" in done.text
    command = f"cbspec verify --profile {profile} --only CB-WSK-004 --exchanges 3"
    assert command in " ".join(done.text.replace("\\\n", "").split())


# ---------------------------------------------------------------------------- excess


MOST_MEMORY = 380.0  # MiB: a run takes 110, and up to 340 while four limits are measured at once
EXCESS_CASES = "CB-HEL-001,CB-TUN-001"

# A process's peak includes that of its parent, so a small process runs the suite.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)
"""

_CHUNK = b"x" * (64 * 1024)

EXCESS: dict[str, tuple[str, str, Callable[[bytes], Iterable[bytes]]]] = {
    "surplus answers": (
        "websocket",
        "CB-MSG-004",
        lambda reply: itertools.chain([frame(reply)], itertools.repeat(frame(b'{"type":"heartbeat_response"}') * 1000)),
    ),
    "endless line": ("tcp", "CB-MSG-002", lambda reply: itertools.chain([reply[:-2]], itertools.repeat(_CHUNK))),
    "endless fragments": (
        "websocket",
        "CB-MSG-002",
        lambda reply: itertools.chain([frame(reply), frame(_CHUNK, 0x01)], itertools.repeat(frame(_CHUNK, 0x00))),
    ),
    "large answer": ("tcp", "", lambda reply: [reply[:-1] + b',"note":"' + b"no " * 700_000 + b'"}\n']),
}
"""Transport, broken requirement, and the output of a relay that sends too much, from its answer to a tunnel_info."""


@pytest.mark.parametrize("kind", few(EXCESS, 2))
def test_excess_is_bounded_and_blamed(kind: str, tmp_path: Path) -> None:
    transport, requirement, excess = EXCESS[kind]

    def answer(text: bytes) -> bytes | Iterable[bytes]:
        reply = accept(text)
        return excess(reply) if b'"type":"tunnel_info"' in text else reply

    with tiny_relay(answer, tmp_path, websocket=transport == "websocket") as endpoint:
        command = [sys.executable, "-m", "cbspec", "verify", str(endpoint), "--transport", transport]
        done = run("-c", MEASURED, *command, "--own-cases", "--only", EXCESS_CASES, "--effort", "quick")
    assert int(done.text.split("peak ")[1].split()[0]) < MOST_MEMORY
    assert done.code == (1 if requirement else 3), done.text  # a large answer breaks nothing
    assert requirement in done.text
    assert verdict(done.text, "failed") >= bool(requirement)
    assert "Errors of the kit" not in done.text
    assert "Traceback" not in done.text


# ---------------------------------------------------------------------------- consideration

LIMITED_CASES = "CB-AUT-017,CB-LIM-002,CB-LIM-012,CB-RAT-001,CB-TLS-005"
TENANTS = """
[[tenants]]
id = "tenant-001"
[[tenants]]
id = "tenant-002"
[[tenants]]
id = "few"
tunnel_limit = 3
[[tenants]]
id = "small"
connection_limit = 5
[[tenants]]
id = "rated"
rate = { per_second = 100, burst = 10, scope = "tenant" }
"""


class CountingRelay:
    """Accepts everything; counts open connections, and records the times of messages and connections."""

    def __init__(self) -> None:
        self.most = self._open = 0
        self.times: list[float] = []
        self._lock = threading.Lock()

    def answer(self, text: bytes) -> bytes:
        """Accept a message."""
        if text.startswith(b"{"):
            self.times.append(time.monotonic())
        return accept(text)

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection."""
        with self._lock:
            self.times.append(time.monotonic())
            self._open += 1
            self.most = max(self.most, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1


REASONS = (
    "CB-LIM-012: target.connections_at_once (or what the relay serves) leaves no room for 4",
    "CB-RAT-001: target.requests_per_second leaves no room for",
)


def test_connections_and_requests_stay_within_the_bounds(tmp_path: Path) -> None:
    relay, profile = CountingRelay(), tmp_path / "profile.toml"
    bounds = "connections_at_once = 3\nrequests_per_second = 50"
    with tiny_relay(relay.answer, tmp_path, around=relay.connection) as endpoint:
        profile.write_text(f'[target]\naddress = "{endpoint}"\ntransport = "tcp"\n{bounds}\n{TENANTS}')
        done = verify("--profile", str(profile), "--own-cases", "--only", LIMITED_CASES, "--examples", "2", "-n", "2")
    assert done.code == 1, done.text
    assert all(reason in " ".join(done.text.split()) for reason in REASONS), done.text
    assert relay.most == 3
    assert len(relay.times) > 100
    assert len(relay.times) / (max(relay.times) - min(relay.times)) <= 50


class LateCounter:
    """Opens three tunnels, and counts each after its answer was sent."""

    def __init__(self) -> None:
        self._open = 0
        self._own = threading.local()

    def answer(self, text: bytes) -> bytes | Iterable[bytes]:
        """Accept a message, unless it requests a tunnel over the limit."""
        if b'"type":"tunnel_info"' not in text:
            return accept(text)
        return json.dumps(error("tenant_limit_exceeded")).encode() if self._open >= 3 else self._count_late(text)

    def _count_late(self, text: bytes) -> Iterator[bytes]:
        yield accept(text) + b"\n"
        self._open += 1
        self._own.tunnels += 1

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Release the tunnels of a connection at its end."""
        self._own.tunnels = 0
        try:
            yield
        finally:
            self._open -= self._own.tunnels


def test_a_tunnel_that_is_counted_after_its_answer_is_noticed(tmp_path: Path) -> None:
    relay, profile = LateCounter(), tmp_path / "profile.toml"
    with tiny_relay(relay.answer, tmp_path, around=relay.connection) as endpoint:
        profile.write_text(
            f'[target]\naddress = "{endpoint}"\ntransport = "tcp"\n[[tenants]]\nid = "tenant-001"\ntunnel_limit = 3\n'
        )
        done = verify("--profile", str(profile), "--own-cases", "--only", "CB-LIM-005", "-k", "whose_answers_wait")
    assert done.code == 1, done.text
    assert "did not pass: CB-LIM-005" in done.text
