"""Ways to speak TLS 1.3: key, chain, suite, group, tickets, and what else a handshake may hold."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from cbspec.profile.identity import DevelopmentCA
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.variations.compose import Change, part, served_by
from cbspec_simulator.variations.variants import certificates
from cbspec_simulator.variations.variants.kind import Variant

_ONE_SUITE = Path(__file__).with_name("one-cipher-suite.cnf")
_HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")  # a fatal alert (Source: RFC 8446, 6)


def _one_suite(context: ssl.SSLContext) -> None:
    suites = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"]
    if len(suites) != 1:
        raise ConfigError(
            "--variant one-cipher-suite: OpenSSL offers more suites than one. Only its configuration file can change "
            f"that, and `cbspec simulate` begins with it; elsewhere set OPENSSL_CONF={_ONE_SUITE}"
        )


def _tickets(number: int) -> Callable[[ssl.SSLContext], None]:
    def change(context: ssl.SSLContext) -> None:
        context.num_tickets = number

    return change


def _ask_for_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL


class _OtherAlert(TlsLayer):
    """Says handshake_failure where a handshake fails, whatever the reason."""

    __slots__ = ("_alert",)

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context, server_side=True)
        self._alert = b""

    def receive_data(self, data: bytes) -> bytes:
        try:
            return super().receive_data(data)
        except TlsFailed:
            if not self.established and super().data_to_send():
                self._alert = _HANDSHAKE_FAILURE
            raise

    def data_to_send(self) -> bytes:
        alert, self._alert = self._alert, b""
        return alert or super().data_to_send()


def _certified(issue: Callable[[DevelopmentCA, Iterable[str]], tuple[bytes, bytes]]) -> Change:
    return part(certificate=issue)


VARIANTS = (
    Variant(
        "rsa-certificate", "The development certificate's key is RSA, 2048 bits.", _certified(certificates.rsa_2048)
    ),
    Variant(
        "p384-certificate", "The development certificate's key is on the curve P-384.", _certified(certificates.p_384)
    ),
    Variant("ed25519-certificate", "The development certificate's key is Ed25519.", _certified(certificates.ed_25519)),
    Variant(
        "intermediate-ca",
        "Another CA stands between the development CA and the relay's certificate.",
        _certified(certificates.with_intermediate),
    ),
    Variant(
        "one-cipher-suite",
        "TLS_CHACHA20_POLY1305_SHA256 is the only cipher suite.",
        served_by(_one_suite),
        openssl=_ONE_SUITE,
    ),
    Variant(
        "one-group",
        "P-384 is the only group, so that most clients are asked for a second ClientHello.",
        served_by(lambda context: context.set_ecdh_curve("secp384r1")),
    ),
    Variant("no-tickets", "No session tickets are sent.", served_by(_tickets(0))),
    Variant("many-tickets", "Eight session tickets are sent.", served_by(_tickets(8))),
    Variant(
        "alpn",
        "The application protocol cloudbridge/2 is chosen where the client offers it.",
        served_by(lambda context: context.set_alpn_protocols(["cloudbridge/2"])),
    ),
    Variant(
        "client-certificate-asked",
        "The client is asked for a certificate, and needs none.",
        served_by(_ask_for_certificate),
    ),
    Variant("other-alert", "Old versions of TLS are refused with handshake_failure.", part(layer=_OtherAlert)),
)
