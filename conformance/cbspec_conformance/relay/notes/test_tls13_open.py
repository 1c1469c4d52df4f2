"""Source: Notes / TLS 1.3, where it is silent: what the relay does is recorded and never judged."""

from __future__ import annotations

import contextlib
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cbspec.tls_contexts import Trust, client_context
from cbspec_conformance.judging.errors import Inconclusive
from cbspec_conformance.probe.client_hello import GROUPS, SUITES, client_hello, modern_client_hello
from cbspec_conformance.probe.tcp import tcp_connect
from cbspec_conformance.probe.wire import HandshakeFailure, alert_name
from cbspec_conformance.record.transcript import End
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_SERVED = "served"
_ENDS = {
    End.CLOSE_NOTIFY: "says close_notify",
    End.EOF: "closes without close_notify",
    End.RESET: "resets the connection",
    End.TLS_ALERT: "sends an alert",
}


@requirement("CB-TLS-101")
def test_suites(relay: RelayUnderTest) -> None:
    """ClientHellos of TLS 1.3 that offer one cipher suite each are sent, byte for byte."""
    _works(relay)
    names = [name for name, suite in SUITES.items() if _offer(relay, suites=(suite,)) == _SERVED]
    relay.log.saw(", ".join(names) or "none of those that were tried")


@requirement("CB-TLS-102")
def test_groups(relay: RelayUnderTest) -> None:
    """ClientHellos of TLS 1.3 that offer one group each are sent, byte for byte."""
    _works(relay)
    names = [name for name, group in GROUPS.items() if _offer(relay, groups=(group,)) == _SERVED]
    relay.log.saw(", ".join(names) or "none of those that were tried")


@requirement("CB-TLS-103")
def test_alpn(relay: RelayUnderTest) -> None:
    """Handshakes offer HTTP/1.1, and a protocol that nobody knows, by ALPN."""
    _works(relay)
    for name in ("http/1.1", "cbspec-unknown"):
        context = client_context(Trust.ANY)
        context.set_alpn_protocols([name])
        try:
            session = relay.connect(transport="tcp", context=context)
        except HandshakeFailure as failure:
            relay.log.saw(f"refused by {failure.alert or 'closing'}", of=name)
        else:
            relay.log.saw("chosen" if session.wire.alpn else "passed over", of=name)
            session.close()


@requirement("CB-TLS-104")
def test_tickets(relay: RelayUnderTest) -> None:
    """After hello it is looked whether a ticket for the session has come."""
    relay.log.saw("given" if relay.greeted().wire.has_ticket else "not given")


@requirement("CB-TLS-105")
def test_key_of_the_certificate(relay: RelayUnderTest) -> None:
    """The relay's certificate is read."""
    session = relay.connect(transport="tcp")
    try:
        key = x509.load_der_x509_certificate(session.wire.certificate or b"").public_key()
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
    """ClientHellos of the older versions are sent, byte for byte; what comes back first is read."""
    _works(relay)
    for version in ("1.2", "1.1", "1.0"):
        relay.log.saw(_reply(relay, client_hello(version, relay.connector.server_name)), of=f"TLS {version}")


@requirement("CB-TLS-107")
def test_close_notify(relay: RelayUnderTest) -> None:
    """The client says close_notify after hello and reads on until the relay ends the connection."""
    session = relay.greeted()
    session.wire.finish_sending()
    deadline = time.monotonic() + 1.0
    while session.wire.ended is None and time.monotonic() < deadline:
        session.wire.receive(deadline - time.monotonic())
    relay.log.saw(
        _ENDS.get(session.wire.ended.how, "ends otherwise") if session.wire.ended else "stays open for a second"
    )


@requirement("CB-TLS-108")
def test_other_server_names(relay: RelayUnderTest) -> None:
    """ClientHellos of TLS 1.3 name a server that the relay isn't, and none."""
    _works(relay)
    relay.log.saw(_offer(relay, name="other.cbspec.invalid"), of="another name")
    relay.log.saw(_offer(relay, name="127.0.0.1"), of="no name")  # an address is never sent as one


def _works(relay: RelayUnderTest) -> None:
    """See that TLS 1.3 works, beside which a refusal means something."""
    with relay.control("a TLS 1.3 handshake"):
        relay.connect(transport="tcp").close()


def _offer(
    relay: RelayUnderTest,
    *,
    suites: tuple[int, ...] = tuple(SUITES.values()),
    groups: tuple[int, ...] = tuple(GROUPS.values()),
    name: str = "",
) -> str:
    return _reply(relay, modern_client_hello(name or relay.connector.server_name, suites, groups))


def _reply(relay: RelayUnderTest, hello: bytes) -> str:
    """Send a ClientHello and return how the first record of the answer meets it."""
    timeout = relay.profile.target.timeout
    received = b""
    with contextlib.closing(tcp_connect(relay.endpoint, relay.connector.source, timeout)) as sock:
        sock.settimeout(timeout)
        try:
            sock.sendall(hello)
            while len(received) < 7 and (part := sock.recv(4096)):
                received += part
        except TimeoutError:
            raise Inconclusive("no answer to a ClientHello in time") from None
        except OSError:
            return "reset"
    if received[:1] == b"\x16":
        return _SERVED
    alert = alert_name(received)
    return f"refused: alert {alert}" if alert else "closed, without an alert"
