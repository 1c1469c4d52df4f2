"""The events below the messages, compared with the wire: what a client sent, received and did."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cbspec.profile.identity import development_ca
from cbspec.tls_contexts import legacy_client_context
from cbspec_simulator import Behaviour, Config, Simulator
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import ConnectionEnd
from cbspec_simulator.observe.transcript import TranscriptEntry
from cbspec_simulator.relay.events import (
    Accepted,
    BytesReceived,
    BytesSent,
    Closed,
    ConnectionEnding,
    EndedBy,
    EndedHow,
    NotSecured,
    Secured,
    TlsFacts,
)
from cbspec_simulator.settings.config import LimitSettings, Listen
from cbspec_simulator.variations.registry import varied
from tests.support import client
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, AsyncWebSocket, RawClient, auth, frame, until

ANY_PORT = Config(listen=Listen(port=0), limits=LimitSettings(handshake_timeout=PATIENCE, idle_timeout=PATIENCE))
IMPATIENT = replace(ANY_PORT, limits=LimitSettings(handshake_timeout=0.1, idle_timeout=0.1))
PKCS8: Final = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
MEMBER: Final = re.compile('"token":"[^"]*"?')
BY, HOW = EndedBy, EndedHow


@dataclass
class SeenByClient:
    """What a client saw: the plain text that it sent and received, and how its handshake failed."""

    sent: bytes = b""
    received: bytes = b""
    failure: str = ""


@dataclass(frozen=True)
class Row:
    """A client's deeds against a relay with faults; the end that the relay must record, and how TLS failed."""

    act: Callable[[tuple[str, int], SeenByClient], None]
    by: EndedBy
    how: EndedHow
    faults: tuple[Mapping[str, Any], ...] = ()
    failed: Mapping[str, object] | None = None
    alert: str = ""
    config: Config = ANY_PORT
    variations: tuple[str, ...] = field(default=())


# ---------------------------------------------------------------------------- clients


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def says(*texts: bytes, end: str = "", transport: str = "tcp") -> Callable[[tuple[str, int], SeenByClient], None]:
    """Return the client that sends texts, reads an answer to each line, and then ends in a way, or reads on."""

    def act(address: tuple[str, int], wire: SeenByClient) -> None:
        with RawClient(address, transport) as peer:
            peer.handshake()
            for text in texts:
                wire.sent += text
                peer.write(text)
                if text.endswith(b"\n"):
                    wire.received += peer.line()
            if end == "close_notify":
                with contextlib.suppress(ssl.SSLError):
                    peer.tls.unwrap()
                peer._flush()
            elif end == "reset":
                reset(peer.socket)
                return
            elif end == "fin":
                peer.socket.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ssl.SSLZeroReturnError):
                peer.end()
            wire.received += peer._plain

    return act


def fails(
    make: Callable[[], ssl.SSLContext], *, reads: bool = False
) -> Callable[[tuple[str, int], SeenByClient], None]:
    """Return the client whose handshake fails."""

    def act(address: tuple[str, int], wire: SeenByClient) -> None:
        with socket.create_connection(address, PATIENCE) as sock:
            try:
                with make().wrap_socket(sock, server_hostname="localhost") as tls:
                    tls.recv(1) if reads else None
            except (ssl.SSLError, ConnectionError) as error:
                wire.failure = getattr(error, "reason", "") or type(error).__name__

    return act


def raw(data: bytes, end: str = "fin") -> Callable[[tuple[str, int], SeenByClient], None]:
    """Return the client that sends bytes without TLS."""

    def act(address: tuple[str, int], wire: SeenByClient) -> None:
        with socket.create_connection(address, PATIENCE) as sock:
            sock.sendall(data)
            if end == "reset":
                reset(sock)
                return
            if end == "fin":
                sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(4096):
                    pass

    return act


def begins(end: str) -> Callable[[tuple[str, int], SeenByClient], None]:
    """Return the client that sends a ClientHello, waits for the first bytes if there are any, and ends."""

    def act(address: tuple[str, int], wire: SeenByClient) -> None:
        with RawClient(address) as peer:
            peer.send_client_hello()
            if end != "at once":
                peer.socket.recv(1)
            if end == "reset":
                reset(peer.socket)

    return act


def old() -> ssl.SSLContext:
    return legacy_client_context(ssl.TLSVersion.TLSv1_2)


def stranger() -> ssl.SSLContext:
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    return context


def with_alpn() -> ssl.SSLContext:
    context = client.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


# ---------------------------------------------------------------------------- the table

SNI: Final = {"server_name": "localhost"}
NEW: Final = {**SNI, "offered": ("TLSv1.3", "TLSv1.2")}
CLOSED_IN = "the client closed the connection during the handshake"

ROWS: Final[Mapping[str, Row]] = {
    # How a handshake fails.
    "unknown CA": Row(
        fails(stranger),
        BY.CLIENT,
        HOW.ALERT,
        failed={**NEW, "alert_received": "unknown_ca", "reason": "the client sent the alert unknown_ca"},
        alert="unknown_ca",
    ),
    "expired certificate": Row(
        fails(client.context),
        BY.CLIENT,
        HOW.ALERT,
        ({"kind": "certificate-expired"},),
        {**NEW, "alert_received": "certificate_expired"},
        "certificate_expired",
    ),
    "other name": Row(
        fails(client.context),
        BY.CLIENT,
        HOW.ALERT,
        ({"kind": "certificate-other-name"},),
        {**NEW, "alert_received": "bad_certificate"},
        "bad_certificate",
    ),
    "client of TLS 1.2": Row(
        fails(old),
        BY.RELAY,
        HOW.ALERT,
        failed={
            **SNI,
            "offered": ("TLSv1.2",),
            "alert_sent": "protocol_version",
            "reason": "unsupported protocol: the client offers TLSv1.2",
        },
        alert="protocol_version",
    ),
    "relay of TLS 1.2": Row(
        fails(lambda: legacy_client_context(ssl.TLSVersion.TLSv1_3)),
        BY.RELAY,
        HOW.ALERT,
        ({"kind": "tls-1.2"},),
        {**SNI, "offered": ("TLSv1.3",), "alert_sent": "protocol_version"},
        "protocol_version",
    ),
    "no client certificate": Row(
        fails(client.context, reads=True),
        BY.RELAY,
        HOW.ALERT,
        ({"kind": "client-certificate"},),
        {**NEW, "alert_sent": "certificate_required"},
        "certificate_required",
    ),
    "ALPN": Row(
        fails(with_alpn),
        BY.CLIENT,
        HOW.ALERT,
        ({"kind": "certificate-unknown-ca"},),
        {**NEW, "alpn": "h2,http/1.1", "alert_received": "unknown_ca"},
        "unknown_ca",
    ),
    "alert by a fault": Row(
        fails(client.context),
        BY.FAULT,
        HOW.ALERT,
        ({"kind": "handshake-alert", "alert": "internal_error"},),
        {**NEW, "alert_sent": "internal_error", "reason": "a fault refuses the handshake"},
        "internal_error",
    ),
    "plain text": Row(
        raw(HELLO),
        BY.RELAY,
        HOW.ALERT,
        failed={
            "plain": HELLO,
            "alert_sent": "unexpected_message",
            "reason": "the client sent plain text instead of TLS (wrong version number)",
        },
        alert="unexpected_message",
    ),
    "the beginning of plain text": Row(
        raw(b'{"t', end="waits"),
        BY.RELAY,
        HOW.TIMEOUT,
        failed={"plain": b'{"t', "reason": "the client sent plain text instead of TLS (the handshake took too long)"},
        config=IMPATIENT,
    ),
    "nothing, and an end": Row(
        raw(b""),
        BY.CLIENT,
        HOW.FIN,
        failed={"reason": "the client closed the connection before its first byte"},
    ),
    "nothing, and a reset": Row(
        raw(b"", end="reset"),
        BY.CLIENT,
        HOW.RESET,
        failed={"reason": "the client reset the connection before its first byte"},
    ),
    "nothing at all": Row(
        raw(b"", end="waits"),
        BY.RELAY,
        HOW.TIMEOUT,
        failed={"reason": "the client sent nothing"},
        config=IMPATIENT,
    ),
    "an end after the first flight": Row(begins("fin"), BY.CLIENT, HOW.RESET, failed=NEW),
    "a reset after the first flight": Row(
        begins("reset"),
        BY.CLIENT,
        HOW.RESET,
        failed={**NEW, "reason": "the client reset the connection during the handshake"},
    ),
    "a stalled handshake": Row(
        begins("at once"), BY.CLIENT, HOW.FIN, ({"kind": "handshake-stall"},), {**NEW, "reason": CLOSED_IN}
    ),
    "a reset by a fault before TLS": Row(
        raw(b"", end="waits"),
        BY.FAULT,
        HOW.RESET,
        ({"kind": "reset", "when": {"direction": "connect"}},),
        {"reason": "a fault reset the connection before its first byte"},
    ),
    # How a session ends, and the bytes inside TLS.
    "close_notify": Row(says(HELLO, auth(), BEAT, end="close_notify"), BY.CLIENT, HOW.CLOSE_NOTIFY),
    "FIN": Row(says(HELLO, end="fin"), BY.CLIENT, HOW.FIN),
    "reset": Row(says(HELLO, end="reset"), BY.CLIENT, HOW.RESET),
    "half a message": Row(says(HELLO, b'{"type":"au', end="close_notify"), BY.CLIENT, HOW.CLOSE_NOTIFY),
    "another TLS library": Row(
        says(HELLO, b'{"type":"au', end="close_notify"),
        BY.CLIENT,
        HOW.CLOSE_NOTIFY,
        variations=("other-tls-library",),
    ),
    "another TLS library and an alert": Row(
        fails(stranger),
        BY.CLIENT,
        HOW.ALERT,
        failed={**NEW, "alert_received": "unknown_ca"},
        alert="unknown_ca",
        variations=("other-tls-library",),
    ),
    "idle": Row(says(HELLO), BY.RELAY, HOW.TIMEOUT, config=IMPATIENT),
    "an answer to garbage, and a close": Row(
        says(b"x" * 100 + b"\n"),
        BY.RELAY,
        HOW.CLOSE_NOTIFY,
        config=replace(ANY_PORT, limits=LimitSettings(max_message=50)),
    ),
    "a reset by a fault": Row(
        says(HELLO, BEAT.rstrip()), BY.FAULT, HOW.RESET, ({"kind": "reset", "when": {"message": "heartbeat"}},)
    ),
    "a cut answer": Row(
        says(HELLO, auth()),
        BY.FAULT,
        HOW.FIN,
        ({"kind": "close-without-notify", "bytes": 7, "when": {"message": "auth_response"}},),
    ),
    "a dropped answer": Row(
        says(HELLO, auth().rstrip() + b"\r", end="fin"),
        BY.CLIENT,
        HOW.FIN,
        ({"kind": "drop", "when": {"message": "auth_response"}},),
    ),
    "a half-close by a fault": Row(
        says(HELLO, auth(), end="close_notify"),
        BY.FAULT,
        HOW.CLOSE_NOTIFY,
        ({"kind": "half-close", "when": {"message": "auth_response"}},),
    ),
    "a refusal with a close by a fault": Row(
        says(HELLO, auth()),
        BY.FAULT,
        HOW.CLOSE_NOTIFY,
        ({"kind": "error", "code": "x", "close": True, "when": {"message": "auth"}},),
    ),
    "a silent relay": Row(says(HELLO.rstrip() + b"\r", end="fin"), BY.CLIENT, HOW.FIN, ({"kind": "silent"},)),
    "pieces": Row(says(HELLO, auth(), end="fin"), BY.CLIENT, HOW.FIN, ({"kind": "dribble", "bytes": 9},)),
    "half a message with half a token": Row(says(HELLO, auth()[:120], end="fin"), BY.CLIENT, HOW.FIN),
    "late and merged answers": Row(
        says(HELLO + auth() + BEAT, end="fin"),
        BY.CLIENT,
        HOW.FIN,
        ({"kind": "delay", "seconds": 0.05}, {"kind": "merge", "messages": 2}),
    ),
    "a late answer that never came": Row(
        says(HELLO, auth().rstrip() + b"\r", end="reset"),
        BY.CLIENT,
        HOW.RESET,
        ({"kind": "hold", "when": {"message": "auth_response"}},),
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_the_events_say_what_happened_on_the_wire(name: str) -> None:
    row, wire, events = ROWS[name], SeenByClient(), list[Any]()
    config = replace(row.config, faults=tuple(map(Fault.read, row.faults)))
    async with Simulator(config, behaviour=varied(Behaviour(), *row.variations)) as simulator:
        simulator.relay.tell.add(
            events.append, Accepted, Secured, NotSecured, BytesReceived, BytesSent, ConnectionEnding, Closed
        )
        await asyncio.to_thread(row.act, simulator.address, wire)
        await until(lambda: any(isinstance(event, ConnectionEnding) for event in events))
        assert events[0] == Accepted(1, "127.0.0.1")
        assert {event.number for event in events} == {1}
        assert [event[:4] for event in events if isinstance(event, ConnectionEnding)] == [
            (1, row.by, row.how, row.alert)
        ]
        failures = [event for event in events if isinstance(event, NotSecured)]
        secured = [event for event in events if isinstance(event, Secured)]
        if row.failed is None:
            assert not failures
            (facts,) = [event.facts for event in secured]
            assert (facts.version, facts.server_name, facts.resumed) == ("TLSv1.3", "localhost", False)
            assert facts.cipher.startswith("TLS_")
        else:
            assert not secured
            (failure,) = failures
            assert {key: getattr(failure, key) for key in row.failed} == row.failed
        assert b"".join(event.data for event in events if isinstance(event, BytesReceived)) == wire.sent
        if row.how is not HOW.RESET:  # which may discard bytes
            assert b"".join(event.data for event in events if isinstance(event, BytesSent)) == wire.received
        await until(lambda: isinstance(events[-1], Closed))
        compare(simulator.transcript.entries(), row, wire)


def compare(entries: Sequence[TranscriptEntry], row: Row, wire: SeenByClient) -> None:
    """Compare the transcript with the wire."""
    assert entries[0].event == "accepted"
    (end,) = [entry for entry in entries if entry.event == "ended"]
    assert (end.by, end.type) == (row.by, row.how)
    failures = [entry.type for entry in entries if entry.event == "not_secured"]
    secured = [entry.type for entry in entries if entry.event == "secured"]
    plain = row.failed is not None and "plain" in row.failed
    kind = "plain" if plain else row.alert or "unfinished"
    assert (failures, secured) == (([], ["TLSv1.3"]) if row.failed is None else ([kind], []))
    read = "".join(entry.text for entry in entries if entry.event in ("request", "unread")) + end.text
    assert re.sub("[\r\n]", "", read) == MEMBER.sub('"token":"<token>"', wire.sent.decode()).replace("\n", "").replace(
        "\r", ""
    )
    if row.how is not HOW.RESET:
        sent = {entry.of: entry.text for entry in entries if entry.event == "sent"}
        answers = [sent.get(entry.number, entry.text) for entry in entries if entry.event == "answer"]
        assert "".join(answers) == wire.received.decode().replace("\n", "")


# ---------------------------------------------------------------------------- other ends, and other facts


def ends(simulator: Simulator) -> list[ConnectionEnding]:
    found: list[ConnectionEnding] = []
    simulator.relay.tell.add(found.append, ConnectionEnding)
    return found


@pytest.mark.parametrize("how", ConnectionEnd)
async def test_controls_end_a_connection(how: ConnectionEnd) -> None:
    ways = {ConnectionEnd.RESET: HOW.RESET, ConnectionEnd.WITHOUT_NOTIFY: HOW.FIN}
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        found = ends(simulator)
        await wire.greet()
        simulator.drop(1, how)
    assert [event[:3] for event in found] == [(1, BY.CONTROL, ways.get(how, HOW.CLOSE_NOTIFY))]


async def test_the_end_of_the_server_is_a_control() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        found = ends(simulator)
        await wire.greet()
        with socket.create_connection(simulator.address):
            await until(lambda: len(simulator.server.edge.peers) == 2)
            await simulator.close(0.0)
    assert [event[:3] for event in found] == [(1, BY.CONTROL, HOW.CLOSE_NOTIFY), (2, BY.CONTROL, HOW.FIN)]


async def test_close_frames_end_a_websocket() -> None:
    fault = Fault.read({"kind": "websocket-close", "when": {"message": "hello_response"}})
    async with Simulator(replace(ANY_PORT, faults=(fault,))) as simulator:
        found = ends(simulator)
        for last in (frame(struct.pack(">H", 1000), 0x88), frame(b"x", 0xF1), frame(HELLO.rstrip())):
            async with AsyncWebSocket(simulator.address) as wire:
                await wire.open()
                wire.write(last)
                assert (await wire.next())[0] == 0x88
                wire.write(frame(struct.pack(">H", 1000), 0x88))
                await wire.rest()
        await until(lambda: len(found) == 3)
    assert [event[1:3] for event in found] == [
        (BY.CLIENT, HOW.CLOSE_FRAME),
        (BY.RELAY, HOW.CLOSE_NOTIFY),  # a frame that RFC 6455 forbids
        (BY.FAULT, HOW.CLOSE_NOTIFY),
    ]


async def test_client_certificates_and_resumed_sessions_are_facts() -> None:
    ca = await asyncio.to_thread(development_ca)
    context = client.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its sessions are known at once
    certificate = trustme.CA.from_pem(ca.ca_file.read_bytes(), ca.signer()[1].private_bytes(*PKCS8)).issue_cert(
        "client", common_name="a client"
    )
    certificate.configure_cert(context)
    faults = tuple(Fault.read({"kind": kind}) for kind in ("client-certificate", "tls-1.2"))
    facts: list[TlsFacts] = []

    def connect(address: tuple[str, int]) -> None:
        session = None
        for _ in range(2):
            with (
                socket.create_connection(address, PATIENCE) as sock,
                context.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
            ):
                session = tls.session

    async with Simulator(replace(ANY_PORT, faults=faults)) as simulator:
        simulator.relay.tell.add(lambda event: facts.append(event.facts), Secured)
        await asyncio.to_thread(connect, simulator.address)
        await until(lambda: len(facts) == 2)
    assert [each.resumed for each in facts] == [False, True]
    assert {(each.version, each.offered) for each in facts} == {("TLSv1.2", ("TLSv1.2",))}
    assert "CN=a client" in facts[0].client_certificate


async def test_input_after_the_relays_end_is_recorded() -> None:
    async with Simulator(ANY_PORT) as simulator, AsyncClient(simulator.address) as wire:
        received: list[bytes] = []
        simulator.relay.tell.add(lambda event: received.append(event.data), BytesReceived)
        await wire.greet()
        simulator.drop(1, ConnectionEnd.WITHOUT_NOTIFY)
        wire.write(BEAT)
        await until(lambda: BEAT in received)


async def test_bytes_that_the_client_did_not_read_are_recorded_as_unsent() -> None:
    fault = Fault.read({"kind": "oversize", "bytes": 100_000_000, "when": {"message": "hello_response"}})
    closed: list[Closed] = []
    async with Simulator(replace(ANY_PORT, faults=(fault,))) as simulator, AsyncClient(simulator.address) as wire:
        simulator.relay.tell.add(closed.append, Closed)
        wire.write(HELLO)
        await wire.reader.readexactly(1)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (peer,) = simulator.server.edge.peers.values()
        left = deque[int](maxlen=50)

        def is_stuck() -> bool:  # the kernel's buffers take more for a while
            left.append(peer._channel.transport.get_write_buffer_size())
            return len(left) == 50 and len(set(left)) == 1 and left[0] > 0

        await until(is_stuck)
        simulator.drop(1, ConnectionEnd.RESET)
        await until(lambda: bool(closed))
        *_, answer, sent, unsent = (entry for entry in simulator.transcript.entries() if entry.event != "ended")
        assert closed[0].unsent > 0
        assert (unsent.event, unsent.text.split()[0]) == ("unsent", str(closed[0].unsent))
        assert (sent.event, sent.of, answer.event) == ("sent", answer.number, "answer")
        size = int(re.findall(r"\((\d+) bytes\)", sent.text)[0])
        assert closed[0].unsent < size < 100_000_000
