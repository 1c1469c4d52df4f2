"""The client's session without I/O: the answers' spelling and cuts mean nothing, and nothing leaves before its time."""

from __future__ import annotations

import ast
import ssl
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cbspec_client.session
from cbspec.protocol.connection import Framer, read_frame
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import (
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    Role,
    TunnelInfo,
    TunnelResponse,
    encode,
    to_dict,
)
from cbspec.protocol.state import State
from cbspec.protocol.tls import TlsLayer, client_context
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_client.errors import (
    CertificateNotTrusted,
    ConnectFailed,
    ConnectionLost,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
)
from cbspec_client.session import ClientSession, Transport, claimed_tenant
from tests.cbspec.spelling import json_values, spell, texts

TUNNEL = TunnelInfo("t", "tenant-001", 1, "h", 2)
EXCHANGES: list[tuple[Request, Message]] = [
    (Hello(), HelloResponse()),
    (Auth("no-jwt"), AuthResponse("user123", "tenant-001")),
    (TUNNEL, TunnelResponse("t")),
    (TUNNEL, Error("tenant_limit_exceeded", "no\nmore")),
    (Heartbeat(), HeartbeatResponse()),
]


class Wire:
    """A session and a relay's TLS and framing, wired in memory."""

    def __init__(self, ca: Path, context: ssl.SSLContext, transport: Transport = Transport.TCP) -> None:
        self.session = ClientSession(
            client_context(ca), "relay.example", transport=transport, authority="relay.example:1"
        )
        self.framer: Framer = StreamFramer() if transport is Transport.TCP else WebSocketFramer.server()
        self.tls = TlsLayer(context, server_side=True)
        self.received: list[object] = []

    def carry(self) -> None:
        """Carry bytes to and fro until both are silent."""
        while True:
            up = self.session.data_to_send()
            plain = self.tls.receive_data(up)
            if plain:
                self.framer.feed(plain)
            while (frame := self.framer.next_frame()) is not None:
                self.received.append(read_frame(frame, Role.CLIENT))
            self.tls.send(self.framer.data_to_send())
            down = self.tls.data_to_send()
            if not up and not down:
                return
            self.session.receive_data(down)

    def say(self, plain: bytes) -> bytes:
        """Return the wire bytes of plain text from the relay."""
        self.tls.send(plain)
        return self.tls.data_to_send()


@pytest.mark.parametrize("transport", Transport)
@given(data=st.data(), extra=st.dictionaries(texts.map("x-{}".format), json_values, max_size=2))
def test_answers_are_understood_in_any_spelling_dribbled_or_merged(
    ca: Path, context: ssl.SSLContext, transport: Transport, data: st.DataObject, extra: dict[str, object]
) -> None:
    wire = Wire(ca, context, transport)
    wire.carry()
    assert wire.session.ready
    sizes = data.draw(st.lists(st.integers(1, 200), min_size=1, max_size=6))
    random = data.draw(st.randoms(use_true_random=True))
    for request, answer in EXCHANGES:
        wire.session.request(request)
        wire.carry()
        text = wire.framer.encode(spell({**extra, **to_dict(answer)}, random).encode())
        size = cycle(sizes)
        records = b""
        while text:
            length = next(size)
            records += wire.say(text[:length])
            text = text[length:]
        while records:
            length = next(size)
            wire.session.receive_data(records[:length])
            records = records[length:]
        assert wire.session.answered
        assert wire.session.take_answer() == answer
    assert wire.received == [request for request, _ in EXCHANGES]
    assert wire.session.state is State.AUTHENTICATED


def test_an_answer_counts_that_came_with_the_end_of_its_connection(ca: Path, context: ssl.SSLContext) -> None:
    for last in (b"", b"what is no TLS record"):
        wire = Wire(ca, context)
        wire.carry()
        wire.session.request(Hello())
        wire.carry()
        answer = wire.say(encode(HelloResponse()))
        wire.tls.close()
        with pytest.raises(ConnectionLost):
            wire.session.receive_data(answer + (last or wire.tls.data_to_send()))
        assert wire.session.take_answer() == HelloResponse()


def test_before_the_handshake_nothing_but_the_handshake_leaves(ca: Path, context: ssl.SSLContext) -> None:
    for transport in Transport:
        session = Wire(ca, context, transport).session
        session.data_to_send()
        assert session.data_to_send() == b""
        assert not session.ready


def test_each_failure_of_a_handshake_has_its_class(certificates: Path, context: ssl.SSLContext) -> None:
    stranger = Wire(certificates / "their-ca.pem", context)
    with pytest.raises(CertificateNotTrusted):
        stranger.carry()
    ours = certificates / "our-ca.pem"
    with pytest.raises(TlsRefused) as caught:
        Wire(ours, context).session.receive_data(b"220 relay ESMTP\r\n")
    assert not isinstance(caught.value, CertificateNotTrusted)
    assert isinstance(Wire(ours, context).session.receive_eof(), TlsRefused)


WEBSOCKET_REFUSALS: list[tuple[bytes, type[Exception], str]] = [
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ConnectFailed, "404"),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", ConnectFailed, "503"),
    (b"220 relay ESMTP\r\n\r\n", ConnectFailed, "WebSocket server"),
    (b'{"type":"error","code":"server_unavailable","message":"m"}\n\n', ConnectFailed, "WebSocket server"),
    (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        RelayMisbehaved,
        "CB-WSK-001",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "text"), WEBSOCKET_REFUSALS)
def test_each_failure_of_a_websocket_handshake_has_its_class(
    ca: Path, context: ssl.SSLContext, answer: bytes, kind: type[Exception], text: str
) -> None:
    wire = Wire(ca, context, Transport.WEBSOCKET)
    wire.framer = StreamFramer()
    wire.carry()
    with pytest.raises(kind, match=text):
        wire.session.receive_data(wire.say(answer))
    assert not wire.session.ready
    assert isinstance(Wire(ca, context, Transport.WEBSOCKET).session.receive_eof(), TlsRefused)


def test_an_end_in_the_websocket_handshake_is_no_connection(ca: Path, context: ssl.SSLContext) -> None:
    wire = Wire(ca, context, Transport.WEBSOCKET)
    wire.framer = StreamFramer()
    wire.carry()
    assert isinstance(wire.session.receive_eof(), ConnectFailed)


@pytest.mark.parametrize(
    ("frame", "kind", "text"),
    [
        (bytes([0x81, 0x80, 0, 0, 0, 0]), RelayMisbehaved, "CB-WSK-002"),  # masked
        (bytes([0xC1, 0x00]), RelayMisbehaved, "CB-WSK-002"),  # said to be compressed
        (bytes([0x81, 0x7F]) + (2 << 20).to_bytes(8, "big"), RelayMisbehaved, "CB-MSG-002"),
        (bytes([0x81, 0x02]) + b"[]", RelayMisbehaved, "CB-MSG-002"),
        (bytes([0x88, 0x02, 0x03, 0xE8]), ConnectionLost, "closed the WebSocket"),
    ],
)
def test_each_wrong_frame_has_its_requirement(
    ca: Path, context: ssl.SSLContext, frame: bytes, kind: type[Exception], text: str
) -> None:
    wire = Wire(ca, context, Transport.WEBSOCKET)
    wire.carry()
    with pytest.raises(kind, match=text):
        wire.session.receive_data(wire.say(frame))
    wire.session.goodbye()
    wire.framer.feed(wire.tls.receive_data(wire.session.data_to_send()))
    assert isinstance(wire.framer, WebSocketFramer)
    assert wire.framer.ended
    assert wire.tls.ended


def test_a_ping_is_answered_while_nothing_is_asked(ca: Path, context: ssl.SSLContext) -> None:
    wire = Wire(ca, context, Transport.WEBSOCKET)
    wire.carry()
    wire.session.receive_data(wire.say(bytes([0x89, 0x02]) + b"hi"))
    assert isinstance(wire.framer, WebSocketFramer)
    wire.carry()
    assert list(wire.framer.pongs) == [b"hi"]


@pytest.mark.parametrize("name", ["", ".relay", "a" * 64, "relay\0", "a..b"])
def test_what_can_be_no_name_is_refused_here(ca: Path, name: str) -> None:
    with pytest.raises(Misuse, match="name of a server"):
        ClientSession(client_context(ca), name)


@pytest.mark.parametrize("path", ["", "relay", "/a b", "/a\r\nX-Header: b", "/ä"])
def test_what_can_be_no_path_is_refused_here(ca: Path, path: str) -> None:
    with pytest.raises(Misuse, match="path"):
        ClientSession(client_context(ca), "relay", transport=Transport.WEBSOCKET, path=path)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "e30.W10.x", "e30.eyJ0ZW5hbnRfaWQiOjd9.x", "..", "é"])
def test_no_tenant_is_read_where_none_is_claimed(token: str) -> None:
    assert claimed_tenant(token) is None


def test_the_claimed_tenant_is_read_unverified() -> None:
    assert claimed_tenant("e30.eyJ0ZW5hbnRfaWQiOiJ0In0.eA") == "t"


def test_there_is_no_asyncio_in_it() -> None:
    source = Path(cbspec_client.session.__file__).read_text()
    imported = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert not {"asyncio", "socket", "time", "cbspec_client.link"} & imported
