"""The client's session without I/O: right and wrong answers, handshake failures, WebSocket frames, and misuse."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbspec.protocol.connection import Framer, read_message
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
from cbspec.protocol.tls import TlsLayer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec.tls_contexts import Trust, client_context, server_context
from cbspec_client.errors import (
    ConnectFailed,
    ConnectionLost,
    Misuse,
    RelayMisbehaved,
    TlsRefused,
)
from cbspec_client.session import ClientSession, Transport
from tests.cbspec.spelling import json_values, spellings, texts
from tests.reference_client.conftest import TOKEN
from tests.support.tls import write_certificates

TUNNEL = TunnelInfo("t", "tenant-001", 1, "h", 2)
AUTH = Auth(TOKEN)
EXCHANGES: list[tuple[Request, Message]] = [
    (Hello(), HelloResponse()),
    (AUTH, AuthResponse("user123", "tenant-001")),
    (TUNNEL, TunnelResponse("t")),
    (TUNNEL, Error("tenant_limit_exceeded", "no\nmore")),
    (Heartbeat(), HeartbeatResponse()),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the relay's CA and certificate."""
    return write_certificates(tmp_path_factory.mktemp("certificates"), "our")


class MemoryLink:
    """A session, and a relay's TLS layer and framer, connected in memory."""

    def __init__(self, folder: Path, transport: Transport = Transport.TCP, framer: Framer | None = None) -> None:
        name, context = "relay.example", client_context(folder / "our-ca.pem")
        self.session = ClientSession(context, name, transport=transport, authority=f"{name}:1")
        self.framer = framer or (StreamFramer() if transport is Transport.TCP else WebSocketFramer.server())
        self.tls = TlsLayer(server_context(folder / "our-server.pem"), server_side=True)
        self.received: list[object] = []

    def carry(self) -> MemoryLink:
        """Transfer bytes in both directions until there are none."""
        while True:
            up = self.session.data_to_send()
            plain = self.tls.receive_data(up)
            if plain:
                self.framer.feed(plain)
            while (frame := self.framer.next_message()) is not None:
                self.received.append(read_message(frame, Role.CLIENT))
            self.tls.send(self.framer.data_to_send())
            down = self.tls.data_to_send()
            if not up and not down:
                return self
            self.session.receive_data(down)

    def sealed(self, plain: bytes) -> bytes:
        """Return TLS records with plain text of the relay."""
        self.tls.send(plain)
        return self.tls.data_to_send()

    def ask(self, request: Request, answer: bytes) -> Message | None:
        """Send a request, and receive bytes as its answer; return the answer."""
        self.session.request(request)
        self.carry()
        self.session.receive_data(self.sealed(answer))
        return self.session.take_answer() if self.session.answered else None


@pytest.mark.parametrize("transport", Transport)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), extra=st.dictionaries(texts.map("x-{}".format), json_values, max_size=2))
def test_answers_are_understood_in_any_spelling_and_however_split(
    certificates: Path, transport: Transport, data: st.DataObject, extra: dict[str, object]
) -> None:
    link = MemoryLink(certificates, transport).carry()
    assert link.session.ready
    sizes = data.draw(st.lists(st.integers(1, 200), min_size=1, max_size=6))
    spelling = data.draw(spellings)
    for request, answer in EXCHANGES:
        link.session.request(request)
        link.carry()
        size = cycle(sizes)
        text, records = link.framer.encode(spelling.write({**extra, **to_dict(answer)}).encode()), b""
        while text:
            length = next(size)
            records, text = records + link.sealed(text[:length]), text[length:]
        while records:
            length = next(size)
            link.session.receive_data(records[:length])
            records = records[length:]
        assert link.session.answered
        assert link.session.take_answer() == answer
    assert link.received == [request for request, _ in EXCHANGES]
    assert link.session.state is State.AUTHENTICATED


def test_an_answer_received_with_the_end_of_the_connection_counts(certificates: Path) -> None:
    for last in (b"", b"no TLS record"):
        link = MemoryLink(certificates).carry()
        link.session.request(Hello())
        link.carry()
        answer = link.sealed(encode(HelloResponse()))
        link.tls.close()
        with pytest.raises(ConnectionLost):
            link.session.receive_data(answer + (last or link.tls.data_to_send()))
        assert link.session.take_answer() == HelloResponse()


MISBEHAVIOUR: list[tuple[Request, bytes, str]] = [
    (Hello(), b'{"type":"hello_response",}\n', "CB-MSG-002"),
    (Hello(), b'{"type":"heartbeat_response"}\n', "CB-HEL-001"),
    (AUTH, b'{"type":"auth_response","status":"ok","client_id":"u","tenant_id":"tenant-002"}\n', "CB-AUT-003"),
    (TUNNEL, b'{"type":"tunnel_response","tunnel_id":"another","status":"ok"}\n', "CB-TUN-002"),
    (Heartbeat(), b"{" + b" " * (1 << 20), "CB-MSG-002"),
    (Heartbeat(), b'{"type":"heartbeat_response"}' * 2 + b"\n", "CB-MSG-004"),
]


def test_a_wrong_answer_names_its_requirement(certificates: Path) -> None:
    for request, wrong, requirement in MISBEHAVIOUR:
        link = MemoryLink(certificates).carry()
        for earlier, answer in EXCHANGES:
            if type(earlier) is type(request):
                break
            link.ask(earlier, encode(answer))
        with pytest.raises(RelayMisbehaved) as caught:
            link.ask(request, wrong)
        assert caught.value.requirement == requirement, wrong


def test_errors_show_no_token_and_may_answer_no_request(certificates: Path) -> None:
    link = MemoryLink(certificates).carry()
    text = b'{"type":"error","code":"server_unavailable","message":"m"}\n'
    assert link.ask(Hello(), encode(HelloResponse()) + text) == HelloResponse()
    errors = [link.session.take_unsolicited() for _ in range(2)]
    assert errors == [Error("server_unavailable", "m"), None]
    assert link.ask(AUTH, encode(Error("invalid_token", f"bad {TOKEN}!"))) == Error("invalid_token", "bad ***!")


def test_invalid_requests_are_not_sent(certificates: Path) -> None:
    link = MemoryLink(certificates).carry()
    link.ask(Hello(), encode(HelloResponse()))
    refused: list[tuple[Request, str]] = [
        (TUNNEL, "authenticate first"),
        (Auth(""), "token"),
        (Auth("\ud800"), "surrogate"),
    ]
    for request, text in refused:
        with pytest.raises(Misuse, match=text):
            link.session.request(request)
        assert link.session.data_to_send() == b""


UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
REFUSALS: list[tuple[bytes, type[Exception], str]] = [
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ConnectFailed, "404"),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", ConnectFailed, "503"),
    (b"220 relay ESMTP\r\n\r\n", ConnectFailed, "WebSocket server"),
    (b'{"type":"error","code":"server_unavailable","message":"m"}\n\n', ConnectFailed, "WebSocket server"),
    (UPGRADED + b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", RelayMisbehaved, "CB-WSK-001"),
]


def test_handshake_failures_have_their_classes(certificates: Path) -> None:
    for answer, kind, text in REFUSALS:
        link = MemoryLink(certificates, Transport.WEBSOCKET, StreamFramer()).carry()
        with pytest.raises(kind, match=text):
            link.session.receive_data(link.sealed(answer))
        assert not link.session.ready
    link = MemoryLink(certificates, Transport.WEBSOCKET, StreamFramer())
    sent = [link.session.data_to_send() for _ in range(2)]
    assert sent[0]
    assert (sent[1], link.session.ready) == (b"", False), "only the handshake is sent before its end"
    assert isinstance(link.session.receive_eof(), TlsRefused)
    link = MemoryLink(certificates, Transport.WEBSOCKET, StreamFramer()).carry()
    assert isinstance(link.session.receive_eof(), ConnectFailed)


def test_wrong_frames_name_their_requirement(certificates: Path) -> None:
    frames: list[tuple[bytes, type[Exception], str]] = [
        (bytes([0x81, 0x80, 0, 0, 0, 0]), RelayMisbehaved, "CB-WSK-002"),  # masked
        (bytes([0xC1, 0x00]), RelayMisbehaved, "CB-WSK-002"),  # marked as compressed
        (bytes([0x81, 0x7F]) + (2 << 20).to_bytes(8, "big"), RelayMisbehaved, "CB-MSG-002"),
        (bytes([0x81, 0x02]) + b"[]", RelayMisbehaved, "CB-MSG-002"),
        (bytes([0x88, 0x02, 0x03, 0xE8]), ConnectionLost, "closed the WebSocket"),
    ]
    for frame, kind, text in frames:
        framer = WebSocketFramer.server()
        link = MemoryLink(certificates, Transport.WEBSOCKET, framer).carry()
        with pytest.raises(kind, match=text):
            link.session.receive_data(link.sealed(frame))
        link.session.goodbye()
        framer.feed(link.tls.receive_data(link.session.data_to_send()))
        assert framer.ended
        assert link.tls.ended


def test_invalid_names_and_paths_are_rejected() -> None:
    for name in ("", ".relay", "a" * 64, "relay\0", "a..b"):
        with pytest.raises(Misuse, match="server name"):
            ClientSession(client_context(Trust.ANY), name)
    for path in ("", "relay", "/a b", "/a\r\nX-Header: b", "/ä"):
        with pytest.raises(Misuse, match="path"):
            ClientSession(client_context(Trust.ANY), "relay", transport=Transport.WEBSOCKET, path=path)
