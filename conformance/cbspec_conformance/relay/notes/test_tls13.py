"""Source: Notes / all connections must use TLS 1.3.

The suite's TLS library must not refuse a version itself: it offers every cipher at the lowest security level, and a
refusal counts only if the ClientHello was sent.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cbspec.protocol.handshake import opening_request
from cbspec.tls_contexts import Trust, client_context, legacy_client_context
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive
from cbspec_conformance.probe.client_hello import GROUPS, SUITES, client_hello, modern_client_hello
from cbspec_conformance.probe.session import HELLO
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.wire import HandshakeFailure, alert_name
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.connector import WebSocketRefused
from cbspec_conformance.target.relay import RelayUnderTest

_ENOUGH = 7  # bytes of a whole alert, or of the beginning of a handshake record
_ALERT, _HANDSHAKE = b"\x15", b"\x16"  # the first byte of a record; a handshake record means acceptance
_ANSWER = "an answer to bytes without TLS"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.1": ssl.TLSVersion.TLSv1_1, "1.0": ssl.TLSVersion.TLSv1}
_REFUSED = {"CB-TLS-002": "1.2", "CB-TLS-003": "1.1", "CB-TLS-004": "1.0"}
_SERVED = "served"
_ENDS = {
    End.CLOSE_NOTIFY: "sends close_notify",
    End.EOF: "closes without close_notify",
    End.RESET: "resets the connection",
    End.TLS_ALERT: "sends an alert",
}


@requirement("CB-TLS-001")
def test_tls_1_3_works(relay: RelayUnderTest) -> None:
    """Connect as a client that offers only TLS 1.3."""
    if relay.facts.tls:
        raise Broken("a TLS 1.3 handshake that works", relay.facts.tls)
    try:
        session = relay.connect(transport="tcp")
    except Unreachable as error:
        raise Inconclusive(str(error)) from None
    except HandshakeFailure as failure:
        raise Broken("a TLS 1.3 handshake that works", f"{failure.reason} {failure.alert}") from None
    if session.wire.tls.ssl_object.version() != "TLSv1.3":
        raise Broken("TLSv1.3", session.wire.tls.ssl_object.version() or "none")


@requirements("CB-TLS-002", "CB-TLS-003", "CB-TLS-004")
def test_older_version_is_refused(relay: RelayUnderTest, identifier: str) -> None:
    """Offer only an older version of TLS, with every cipher; if the handshake succeeds, no hello may be answered."""
    _tls_works(relay)
    version = _REFUSED[identifier]
    for transport in dict.fromkeys((relay.facts.transport, "websocket" if relay.facts.websocket else "tcp")):
        try:
            answered, ended = _speak(relay, legacy_client_context(_VERSIONS[version]), transport)
        except Unreachable as error:
            raise Inconclusive(str(error)) from None
        except HandshakeFailure as failure:
            _judge_refusal(relay, version, failure)
            return
        # The handshake was completed. A relay may still refuse by closing: only an answer counts.
        if answered:
            raise Broken(f"no service over TLS {version}", answered)
        if not ended:
            raise Broken(f"TLS {version} refused", "a session that stays open")
    relay.log.remark(f"the relay completed a handshake of TLS {version} and then closed")


@requirement("CB-TLS-005")
def test_plain_text_is_not_served(relay: RelayUnderTest) -> None:
    """Send a hello, and the opening handshake of a WebSocket, without TLS; neither may be served."""
    _tls_works(relay)
    hello = b'{"type":"hello","version":"1.0","features":["tls"]}\n'
    upgrade = opening_request(str(relay.endpoint), relay.profile.target.websocket_path)
    for data, served in ((hello, rb"hello_response"), (upgrade, rb"HTTP/1\.[01] 101\b")):
        answer, _ = _send_plain(relay, data)
        if re.search(served, answer[:200]) and not answer.startswith((_HANDSHAKE, _ALERT)):
            raise Broken("no service without TLS", f"an answer in plain text: {quoted(answer[:60])}")


@requirement("CB-TLS-006")
@pytest.mark.parametrize("name", list(_VERSIONS))
def test_refusal_is_an_alert(relay: RelayUnderTest, name: str) -> None:
    """Send the ClientHello of an older version byte for byte; expect a TLS alert."""
    _tls_works(relay)
    answer, _ = _send_plain(relay, client_hello(name, relay.connector.server_name))
    if answer.startswith(_HANDSHAKE):
        raise Inconclusive(f"the relay doesn't refuse TLS {name} (see its own requirement)")
    if not alert_name(answer):
        raise Broken("a TLS alert, such as protocol_version", f"{len(answer)} bytes: {quoted(answer[:20])}")


def _tls_works(relay: RelayUnderTest) -> None:
    """Check that TLS 1.3 works. A control."""
    with relay.control("a TLS 1.3 handshake"):
        relay.connect(transport="tcp").close()


def _send_plain(relay: RelayUnderTest, data: bytes) -> tuple[bytes, End | None]:
    """Send bytes without TLS; return the answer, and how the relay ended the connection within the time-out.

    The answer stops after the beginning of a TLS record: the rest doesn't matter.
    """
    timeout = relay.tempo.timeout(_ANSWER)
    received = b""
    with contextlib.closing(relay.dial(timeout)) as sock:
        deadline = time.monotonic() + timeout
        try:
            sock.sendall(data)
            while len(received) < 4096 and not (received.startswith((_HANDSHAKE, _ALERT)) and len(received) >= _ENOUGH):
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                part = sock.recv(4096)
                if not part:
                    return received, End.EOF
                received += part
        except TimeoutError:
            relay.tempo.waited_for_nothing(_ANSWER)
        except OSError:
            return received, End.RESET
    return received, None


def _speak(relay: RelayUnderTest, context: ssl.SSLContext, transport: str) -> tuple[str, bool]:
    """Connect and send a hello; return a description of the answer ("": none), and whether the relay closed."""
    before = len(relay.transcript.records)
    try:
        session = relay.connect(transport=transport, context=context)
    except WebSocketRefused as refused:
        answer = f"HTTP status {refused.status}" if refused.status is not None else ""
    else:
        answer = f"{session.wire.tls.ssl_object.version()} and an opened WebSocket"
        if transport == "tcp":
            session.send_unanswered(session.note(HELLO)[1])
            answer = ", ".join(judge.describe(each) for each in session.answers(1))
    records = relay.transcript.records[before:]
    data = b"".join(each.data for each in records if isinstance(each, Bytes) and each.direction is Direction.RECEIVED)
    ended = any(isinstance(each, Ended) and each.how is not End.OURS for each in records)
    return answer or (f"{len(data)} bytes" if data else ""), ended


def _judge_refusal(relay: RelayUnderTest, version: str, failure: HandshakeFailure) -> None:
    if failure.received[:1] == b"\x15" or (not failure.received and failure.hello_left and not failure.timed_out):
        relay.log.remark(f"the relay refused TLS {version} by {_refusal(failure.received)}")
        return
    # The local library failed, or the relay was silent: try again with bytes that no library filters.
    answer, ended = _send_plain(relay, client_hello(version, relay.connector.server_name))
    if answer.startswith(_HANDSHAKE):
        seen = f"a ServerHello in answer to a ClientHello of TLS {version}"
        raise Broken(f"TLS {version} refused by the relay", seen)
    if not answer and not ended:
        raise Broken(f"TLS {version} refused by the relay", "silence: neither an alert nor a close")
    relay.log.remark(f"the relay refused a hand-made ClientHello of TLS {version} by {_refusal(answer)}")


def _refusal(received: bytes) -> str:
    alert = alert_name(received)
    return f"the alert {alert}" if alert else "closing, without an alert"


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirements("CB-TLS-101", "CB-TLS-102")
def test_suites_and_groups(relay: RelayUnderTest, identifier: str) -> None:
    """Send hand-made ClientHellos of TLS 1.3 that offer one cipher suite or one group each."""
    _tls_works(relay)
    offered, of = (SUITES, "suites") if identifier == "CB-TLS-101" else (GROUPS, "groups")
    names = [name for name, number in offered.items() if _offer(relay, **{of: (number,)}) == _SERVED]
    relay.log.saw(", ".join(names) or "none of those offered")


@requirement("CB-TLS-103")
def test_alpn(relay: RelayUnderTest) -> None:
    """Offer HTTP/1.1, and an unknown protocol, by ALPN."""
    _tls_works(relay)
    for name in ("http/1.1", "cbspec-unknown"):
        context = client_context(Trust.ANY)
        context.set_alpn_protocols([name])
        try:
            session = relay.connect(transport="tcp", context=context)
        except HandshakeFailure as failure:
            relay.log.saw(f"refused by {failure.alert or 'closing'}", of=name)
        else:
            relay.log.saw("chosen" if session.wire.tls.ssl_object.selected_alpn_protocol() else "ignored", of=name)
            session.close()


@requirement("CB-TLS-104")
def test_tickets(relay: RelayUnderTest) -> None:
    """Record whether the relay has sent a session ticket by the answer to hello."""
    session = relay.greeted().wire.tls.ssl_object.session
    relay.log.saw("given" if session is not None and session.has_ticket else "not given")


@requirement("CB-TLS-105")
def test_key_of_the_certificate(relay: RelayUnderTest) -> None:
    """Record the kind and size of the certificate's key."""
    certificate = relay.connect(transport="tcp").wire.tls.ssl_object.getpeercert(binary_form=True)
    try:
        key = x509.load_der_x509_certificate(certificate or b"").public_key()
    except ValueError as error:
        raise Inconclusive(f"the certificate can't be read: {error}") from None
    match key:
        case rsa.RSAPublicKey():
            relay.log.saw(f"RSA, {key.key_size} bits")
        case ec.EllipticCurvePublicKey():
            relay.log.saw(f"EC, {key.curve.name}")
        case _:
            relay.log.saw(type(key).__name__.removesuffix("PublicKey"))


@requirement("CB-TLS-106")
def test_refusal_of_older_versions(relay: RelayUnderTest) -> None:
    """Send hand-made ClientHellos of the older versions, and record the first record of the answer."""
    _tls_works(relay)
    for version in _VERSIONS:
        relay.log.saw(_reply(relay, client_hello(version, relay.connector.server_name)), of=f"TLS {version}")


@requirement("CB-TLS-107")
def test_close_notify(relay: RelayUnderTest) -> None:
    """Send close_notify after hello, and read until the relay ends the connection."""
    session = relay.greeted()
    session.wire.finish_sending()
    deadline = time.monotonic() + 1.0
    while session.wire.ended is None and time.monotonic() < deadline:
        session.wire.receive(deadline - time.monotonic())
    ended = session.wire.ended
    relay.log.saw(_ENDS.get(ended.how, "ends otherwise") if ended else "stays open for a second")


@requirement("CB-TLS-108")
def test_other_server_names(relay: RelayUnderTest) -> None:
    """Send hand-made ClientHellos of TLS 1.3 with another server name, and without one."""
    _tls_works(relay)
    relay.log.saw(_offer(relay, "other.cbspec.invalid"), of="another name")
    relay.log.saw(_offer(relay, "127.0.0.1"), of="no name")  # an address is never sent as a server name


def _offer(relay: RelayUnderTest, name: str = "", /, **offered: tuple[int, ...]) -> str:
    """Send a ClientHello of TLS 1.3 that offers all suites and groups, or those given, and return the reaction."""
    suites, groups = offered.get("suites", tuple(SUITES.values())), offered.get("groups", tuple(GROUPS.values()))
    return _reply(relay, modern_client_hello(name or relay.connector.server_name, suites, groups))


def _reply(relay: RelayUnderTest, hello: bytes) -> str:
    """Send a ClientHello and return the reaction."""
    received, ended = _send_plain(relay, hello)
    if received.startswith(_HANDSHAKE):
        return _SERVED
    if alert := alert_name(received):
        return f"refused: alert {alert}"
    if ended is None:
        raise Inconclusive("no answer to a ClientHello in time")
    return "reset" if ended is End.RESET else "closed, without an alert"
