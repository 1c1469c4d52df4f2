"""Deviating clients are caught by observation alone, each by its requirement and no other."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.tap.client_side import OBSERVABLE
from cbspec_conformance.tap.rows import Row, Side, TapDone, TapHeader, TapMessage, read_rows
from cbspec_conformance.tap.verdict import judge_rows
from cbspec_simulator.testing.relay import LocalRelay
from cbspec_simulator.variations.registry import VARIANTS
from tests.conformance.tap.sessions import HELLO, ask, enter
from tests.conformance.tap.tapping import Tapped, broken, tapped, told
from tests.support import messages
from tests.support.client import PATIENCE, UPGRADE, RawClient, frame
from tests.support.messages import BEAT, auth, line, tunnel

Act = Callable[[Tapped], object]


def says(*bodies: object, transport: str = "tcp") -> Act:
    """Return a client that sends some messages, each after the answer to the one before."""

    def act(tap: Tapped) -> None:
        with tap.client(transport) as client:
            for body in bodies:
                ask(client, body)

    return act


def entered(*bodies: object) -> Act:
    """Return a client that sends some messages after hello and auth."""
    return says(HELLO, auth(), *bodies)


def again(*bodies: object, times: int = 3) -> Act:
    """Return a client that does the same on several connections."""

    def act(tap: Tapped) -> None:
        for _ in range(times):
            says(*bodies)(tap)

    return act


def pipelines(tap: Tapped) -> None:
    """Send hello and auth at once."""
    with tap.client() as client:
        ask(client, HELLO, auth(), answers=2)


def storms(tap: Tapped) -> None:
    """Send many heartbeats at once."""
    with tap.client() as client:
        enter(client)
        for _ in range(12):
            ask(client, BEAT)


def asks_only(request: bytes) -> Act:
    """Return a client that sends an opening handshake, and nothing after the response."""

    def act(tap: Tapped) -> None:
        with tap.client("tcp") as client:
            client.write(request + b"\r\n")
            client.line()

    return act


def frames(*parts: bytes, request: bytes = UPGRADE) -> Act:
    """Return a client that sends bytes over a WebSocket after hello."""

    def act(tap: Tapped) -> None:
        with tap.client("tcp") as client:
            client.write(request + b"\r\n")
            while client.line().strip():
                pass
            client.transport = "websocket"
            ask(client, HELLO)
            for part in parts:
                client.write(part)
                client.first_bytes(1)

    return act


def speaks_plainly(tap: Tapped) -> None:
    """Send a hello without TLS."""
    with socket.create_connection(tap.address, timeout=PATIENCE) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(line(HELLO))
        while sock.recv(1024):
            pass


def offers_old_tls(tap: Tapped) -> None:
    """Offer TLS 1.2 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with RawClient(tap.address, trust=context) as client, pytest.raises((OSError, ssl.SSLError)):
        client.handshake()


def upgraded(*bodies: object) -> Act:
    """Return a client that sends some messages over a WebSocket, and answers neither pings nor the close."""
    return says(*bodies, transport="websocket")


def missing(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a message without a member."""
    return {member: value for member, value in body.items() if member != name}


EXPIRED = messages.token(exp=1)
UNKNOWN = messages.token("tenant-unknown")
ELSEWHERE = messages.token("tenant-elsewhere")
TEXT = line(BEAT).rstrip()
OLD_VERSION = UPGRADE.replace(b"Version: 13", b"Version: 12")
WITH_TOKEN = UPGRADE.replace(b"GET / ", f"GET /?token={messages.token()} ".encode())

ROWS: list[tuple[str, str, Act, str]] = [
    ("offers TLS 1.2", "CC-TLS-001", offers_old_tls, ""),
    ("plain text", "CC-TLS-003", speaks_plainly, ""),
    ("auth first", "CC-HEL-001", says(auth()), ""),
    ("hello without features", "CC-HEL-002", says(missing(HELLO, "features")), ""),
    ("hello with a number", "CC-HEL-002", says({**HELLO, "version": 1.0}), ""),
    ("auth without token", "CC-AUT-001", says(HELLO, {"type": "auth", "jwt": "x"}), ""),
    ("tunnel before auth", "CC-AUT-002", says(HELLO, tunnel("t")), ""),
    ("port as a string", "CC-TUN-001", entered(tunnel("t", local_port="3389")), ""),
    ("tunnel without tenant", "CC-TUN-001", entered(missing(tunnel("t"), "tenant_id")), ""),
    ("another tenant", "CC-TUN-002", entered(tunnel("t", "tenant-002")), ""),
    ("storm", "CC-HBT-002", storms, ""),
    ("trailing comma", "CC-MSG-001", entered(b'{"type": "heartbeat",}\n'), ""),
    ("not UTF-8", "CC-MSG-001", entered(b'{"type": "heartbeat", "x": "\xe9"}\n'), ""),
    ("unknown type", "CC-MSG-002", entered({"type": "ping"}), ""),
    ("an array", "CC-MSG-002", entered(b'[{"type": "heartbeat"}]\n'), ""),
    ("pipelines", "CC-MSG-003", pipelines, ""),
    ("duplicate member", "CC-MSG-004", entered(b'{"type": "hello", "type": "heartbeat"}\n'), ""),
    ("token in a tunnel_info", "CC-TOK-001", entered(tunnel("t", token=messages.token())), ""),
    ("token in the address", "CC-TOK-001", frames(request=WITH_TOKEN), ""),
    ("goes on after a refused hello", "CC-REF-001", says(HELLO, auth()), "hello-server_unavailable"),
    ("goes on after a refused auth", "CC-REF-002", entered(BEAT), "auth-invalid_token"),
    ("goes on after status error", "CC-REF-007", entered(BEAT), "auth-status-error"),
    ("goes on after an unknown code", "CC-REF-008", entered(BEAT), "auth-unknown-code"),
    ("retries an expired token", "CC-RTY-003", again(HELLO, {"type": "auth", "token": EXPIRED}), ""),
    ("retries it at once", "CC-RTY-003", says(HELLO, *[{"type": "auth", "token": EXPIRED}] * 2), ""),
    ("retries an unknown tenant", "CC-RTY-004", again(HELLO, {"type": "auth", "token": UNKNOWN}), ""),
    ("retries a forbidden address", "CC-RTY-005", again(HELLO, {"type": "auth", "token": ELSEWHERE}), ""),
    ("retries an invalid tunnel", "CC-RTY-006", entered(tunnel("t"), tunnel("t")), "tunnel_info-invalid_tunnel_info"),
    ("retries an unknown type", "CC-RTY-007", says(HELLO, HELLO), "hello-unknown_message_type"),
    ("goes on after bad UTF-8", "CC-BRK-001", entered(BEAT), "auth-answer-not-utf-8"),
    ("goes on after bad JSON", "CC-BRK-002", entered(BEAT), "auth-answer-not-json"),
    ("goes on after a wrong type", "CC-BRK-004", entered(BEAT), "auth-answer-wrong-type"),
    ("goes on after a missing member", "CC-BRK-005", entered(BEAT), "auth-answer-without-client_id"),
    ("goes on after a wrong member", "CC-BRK-006", entered(BEAT), "auth-answer-client_id-number"),
    ("goes on after another status", "CC-BRK-007", entered(BEAT), "auth-status-pending"),
    ("goes on after another tenant", "CC-AUT-003", entered(BEAT), "other-tenant"),
    ("version 12", "CC-WSK-001", asks_only(OLD_VERSION), ""),
    ("one mask for all", "CC-WSK-002", frames(*[frame(TEXT, mask=b"\1\2\3\4")] * 3), ""),
    ("no mask", "CC-WSK-002", frames(bytes((0x81, len(TEXT))) + TEXT), ""),
    ("goes on after a wrong accept value", "CC-WSK-003", upgraded(HELLO), "websocket-wrong-accept"),
    ("no pong", "CC-WSK-004", upgraded(HELLO, auth(), BEAT, BEAT), "pings"),
    ("a reserved bit", "CC-WSK-005", frames(frame(TEXT, 0xC1)), ""),
    ("a binary frame", "CC-WSK-007", frames(frame(TEXT, 0x82)), ""),
    ("no close frame", "CC-WSK-008", upgraded(HELLO, auth()), "websocket-close"),
]
"""What a client does wrong, the requirement that it breaks, and the situation (or deviation) that its relay is in."""


@pytest.mark.parametrize(("requirement", "act", "situation"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_deviating_client_breaks_its_requirement_alone(
    tmp_path: Path, requirement: str, act: Act, situation: str
) -> None:
    with relay_in(situation) as relay, tapped(relay.address, tmp_path) as tap:
        act(tap)
    result = tap.verdict().clients
    assert broken(result) == {requirement}, told(result)
    assert "eyJ" not in tap.file.read_text()


def relay_in(situation: str) -> LocalRelay:
    """Return a relay in a situation of the judge for clients, or with a deviation or variant."""
    if situation in SITUATIONS:
        return LocalRelay(faults=SITUATIONS[situation].faults)
    ids = [situation] if situation else []
    return LocalRelay(variant=ids) if situation in VARIANTS else LocalRelay(persona=ids)


def test_the_table_has_a_client_for_every_requirement_that_traffic_can_show() -> None:
    of_attempts = {requirement for requirement, _, _ in ATTEMPTS if requirement}
    assert set(OBSERVABLE) == {requirement for _, requirement, _, _ in ROWS} | of_attempts


ATTEMPTS = [
    ("CC-RTY-001", "hello-server_unavailable", (1.0, 1.0, 1.0)),
    ("CC-RTY-002", "hello-server_unavailable", (1.0, 2.0, 4.0, 4.0, 4.0, 4.0)),
    ("CC-REC-002", "down", (1.0, 1.0, 1.0)),
    ("", "hello-server_unavailable", (1.0, 2.0, 4.0)),
    ("", "down", (1.0, 2.0, 4.0)),
]
"""The requirement that attempts with some seconds between them break, or none."""


@pytest.mark.parametrize(("requirement", "situation", "gaps"), ATTEMPTS)
def test_attempts_must_come_at_growing_intervals_and_end(
    tmp_path: Path, requirement: str, situation: str, gaps: tuple[float, ...]
) -> None:
    with contextlib.ExitStack() as stack:
        if situation == "down":
            unused = stack.enter_context(socket.socket())
            unused.bind(("127.0.0.1", 0))
            address = unused.getsockname()
        else:
            address = stack.enter_context(relay_in(situation)).address
        with tapped(address, tmp_path) as tap:
            for _ in range(len(gaps) + 1):
                with contextlib.suppress(ConnectionError):
                    says(HELLO)(tap)
    header, rows = read_rows(tap.file)
    result = judge_rows(header, retimed(rows, gaps)).clients
    assert broken(result) == ({requirement} if requirement else set()), told(result)


def retimed(rows: list[Row], gaps: tuple[float, ...]) -> list[Row]:
    """Return rows whose connections begin with some seconds between them."""
    starts = [sum(gaps[:number]) for number in range(len(gaps) + 1)]
    return [
        msgspec.structs.replace(row, at=starts[row.connection - 1] + place / 1000)
        for place, row in enumerate(rows)
        if not isinstance(row, TapHeader | TapDone)
    ]


def test_what_a_client_does_after_a_new_attempt_is_no_breach(tmp_path: Path) -> None:
    with LocalRelay() as relay, tapped(relay.address, tmp_path) as tap:
        says(HELLO, {"type": "auth", "token": EXPIRED}, auth(), tunnel("t"), BEAT)(tap)
        again(HELLO, {"type": "auth", "token": UNKNOWN}, times=2)(tap)  # it may have been started twice
    result = tap.verdict().clients
    assert broken(result) == set(), told(result)


def test_no_text_of_a_token_is_recorded(tmp_path: Path) -> None:
    secret = messages.token()
    spellings = ({"type": "auth", "token": secret}, {"type": "x", "note": f"Bearer {secret}"}, tunnel(secret))
    with LocalRelay() as relay, tapped(relay.address, tmp_path) as tap:
        says(HELLO, *spellings, line({"type": secret}).replace(b"e", b"\\u0065"))(tap)
        with tap.client() as client:
            client.write(line({"type": "auth", "token": secret})[:-30])  # half a message
    assert any(isinstance(row, TapMessage) and row.side is Side.CLIENT for row in tap.rows)
    text = tap.file.read_text()
    assert not any(part in text for part in secret.split("."))
