"""Source: Notes / all connections must use TLS 1.3.

The local side must not do the refusing: it offers every cipher at the lowest security level, and a refusal counts only
when the ClientHello really left.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time

import pytest

from cbspec.protocol.handshake import opening_request
from cbspec.tls_contexts import legacy_client_context
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.client_hello import client_hello
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.probe.tcp import Unreachable, tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure, alert_name
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest

_HEAD = 5  # bytes before a TLS record's content
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.1": ssl.TLSVersion.TLSv1_1, "1.0": ssl.TLSVersion.TLSv1}


@requirement("CB-TLS-001")
def test_tls_1_3_works(relay: RelayUnderTest) -> None:
    """A client that offers TLS 1.3 only connects."""
    if relay.facts.tls:
        raise Broken("a TLS 1.3 handshake that works", relay.facts.tls)
    try:
        session = relay.connect(transport="tcp")
    except Unreachable as error:
        raise Inconclusive(str(error)) from None
    except HandshakeFailure as failure:
        raise Broken("a TLS 1.3 handshake that works", f"{failure.reason} {failure.alert}") from None
    if session.wire.version != "TLSv1.3":
        raise Broken("TLSv1.3", session.wire.version)


@requirement("CB-TLS-002")
def test_tls_1_2_is_refused(relay: RelayUnderTest) -> None:
    """A ClientHello of TLS 1.2 with every cipher goes out; where it is taken, nothing may be answered behind it."""
    _refused(relay, "1.2")


@requirement("CB-TLS-003")
def test_tls_1_1_is_refused(relay: RelayUnderTest) -> None:
    """A ClientHello of TLS 1.1 with every cipher goes out; where it is taken, nothing may be answered behind it."""
    _refused(relay, "1.1")


@requirement("CB-TLS-004")
def test_tls_1_0_is_refused(relay: RelayUnderTest) -> None:
    """A ClientHello of TLS 1.0 with every cipher goes out; where it is taken, nothing may be answered behind it."""
    _refused(relay, "1.0")


@requirement("CB-TLS-005")
def test_plain_text_is_not_served(relay: RelayUnderTest) -> None:
    """A hello is sent without TLS, over both ways of framing: no hello_response may come back."""
    _works(relay)
    hello = b'{"type":"hello","version":"1.0","features":["tls"]}\n'
    upgrade = opening_request(str(relay.endpoint), relay.profile.target.websocket_path)
    for data, served in ((hello, rb"hello_response"), (upgrade, rb"HTTP/1\.[01] 101\b")):
        answer, _ = _raw(relay, data)
        if re.search(served, answer[:200]) and not answer.startswith((b"\x15", b"\x16")):
            raise Broken("no service without TLS", f"an answer in plain text: {answer[:60]!r}")


@requirement("CB-TLS-006")
@pytest.mark.parametrize("name", list(_VERSIONS))
def test_an_alert_says_so(relay: RelayUnderTest, name: str) -> None:
    """A ClientHello of an older version goes out, byte for byte; the refusal is read as a TLS alert."""
    _works(relay)
    answer, _ = _raw(relay, client_hello(name, relay.connector.server_name))
    if answer.startswith(b"\x16"):
        raise Inconclusive(f"the relay doesn't refuse TLS {name} (see its own requirement)")
    if not alert_name(answer):
        raise Broken("a TLS alert, such as protocol_version", f"{len(answer)} bytes: {answer[:20]!r}")


def _refused(relay: RelayUnderTest, name: str) -> None:
    _works(relay)
    for transport in dict.fromkeys((relay.facts.transport, "websocket" if relay.facts.websocket else "tcp")):
        try:
            answered, ended = _speak(relay, legacy_client_context(_VERSIONS[name]), transport)
        except Unreachable as error:
            raise Inconclusive(str(error)) from None
        except HandshakeFailure as failure:
            _judge_refusal(relay, name, failure)
            return
        # The handshake was completed. A relay may still refuse late, by closing: what counts is whether it answers.
        if answered:
            raise Broken(f"no service over TLS {name}", answered)
        if not ended:
            raise Broken(f"TLS {name} refused", "a session that stays open")
    relay.log.remark(f"the relay completed a handshake of TLS {name} and then closed")


def _speak(relay: RelayUnderTest, context: ssl.SSLContext, transport: str) -> tuple[str, bool]:
    """Open a connection as a client of that transport does; return what answers it, and whether the relay closed.

    Raises Unreachable or HandshakeFailure where it doesn't come to that.
    """
    before = len(relay.transcript.records)
    try:
        session = relay.connect(transport=transport, context=context)
    except WebSocketRefused as refused:
        answer = f"HTTP status {refused.status}" if refused.status is not None else ""
    else:
        answer = f"{session.wire.version} and an opened WebSocket"
        if transport == "tcp":
            session.send_unanswered(session.note(HELLO)[1])
            answer = ", ".join(judge.describe(each) for each in session.answers(1))
    records = relay.transcript.records[before:]
    data = b"".join(each.data for each in records if isinstance(each, Bytes) and each.direction is Direction.RECEIVED)
    ended = any(isinstance(each, Ended) and each.how is not End.OURS for each in records)
    return answer or (f"{len(data)} bytes" if data else ""), ended


def _judge_refusal(relay: RelayUnderTest, name: str, failure: HandshakeFailure) -> None:
    if failure.received[:1] == b"\x15" or (not failure.received and failure.hello_left and not failure.timed_out):
        relay.log.remark(f"the relay refused TLS {name} by {_refusal(failure.received)}")
        return
    # The local library gave up, or the relay kept silent: ask again with bytes that no library filters.
    answer, ended = _raw(relay, client_hello(name, relay.connector.server_name))
    if answer.startswith(b"\x16"):
        raise Broken(f"TLS {name} refused by the relay", f"a ServerHello in answer to a ClientHello of TLS {name}")
    if not answer and not ended:
        raise Broken(f"TLS {name} refused by the relay", "silence: neither an alert nor a close")
    relay.log.remark(f"the relay refused a ClientHello of TLS {name} made by hand by {_refusal(answer)}")


def _refusal(received: bytes) -> str:
    alert = alert_name(received)
    return f"the alert {alert}" if alert else "closing, without an alert"


def _works(relay: RelayUnderTest) -> None:
    """See that TLS 1.3 works, beside which a refusal means something."""
    with relay.control("a TLS 1.3 handshake"):
        relay.connect(transport="tcp").close()


def _raw(relay: RelayUnderTest, data: bytes) -> tuple[bytes, bool]:
    """Send bytes without TLS; return what comes back within the time-out, and whether the relay closed."""
    timeout = relay.tempo.timeout("an answer to bytes without TLS")
    relay.room.take_connection()
    sock = tcp_connect(relay.endpoint, relay.connector.source, timeout)
    received = b""
    with contextlib.closing(sock):
        deadline = time.monotonic() + timeout
        try:
            sock.sendall(data)
            while len(received) < 4096:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                part = sock.recv(4096)
                if not part:
                    return received, True
                received += part
                if received[:1] == b"\x16" and len(received) > _HEAD:
                    break  # a ServerHello: nothing that follows matters
        except TimeoutError:
            relay.tempo.waited_for_nothing("an answer to bytes without TLS")
            return received, False
        except OSError:
            return received, True
    return received, False
