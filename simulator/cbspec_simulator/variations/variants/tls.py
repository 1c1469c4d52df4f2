"""TLS 1.3 with other keys, chains, suites, groups, tickets and extensions."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

from cbspec.profile.identity import DevelopmentCA
from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.variations.parts import Change, part, served_by
from cbspec_simulator.variations.variants import certificates

ONE_SUITE = Path(__file__).with_name("one-cipher-suite.cnf")
"""The OpenSSL configuration of the variant one-cipher-suite: OpenSSL reads it at the start of a process."""
_HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")  # a fatal alert (Source: RFC 8446, 6)


def _one_suite(context: ssl.SSLContext) -> None:
    suites = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"]
    if len(suites) != 1:
        raise ConfigError(
            "--variant one-cipher-suite: OpenSSL offers more than one suite. Only its configuration file can change "
            f"that. `cbspec simulate` loads it; in other programs set OPENSSL_CONF={ONE_SUITE}"
        )


def _tickets(number: int) -> Callable[[ssl.SSLContext], None]:
    def change(context: ssl.SSLContext) -> None:
        context.num_tickets = number

    return change


def _ask_for_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL


class _OtherAlert(TlsLayer):
    """Sends handshake_failure for every failed handshake."""

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


CHANGES: dict[str, Change] = {
    "rsa-certificate": _certified(certificates.rsa_2048),
    "p384-certificate": _certified(certificates.p_384),
    "ed25519-certificate": _certified(certificates.ed_25519),
    "intermediate-ca": _certified(certificates.with_intermediate),
    "one-group": served_by(lambda context: context.set_ecdh_curve("secp384r1")),
    "no-tickets": served_by(_tickets(0)),
    "many-tickets": served_by(_tickets(8)),
    "alpn": served_by(lambda context: context.set_alpn_protocols(["cloudbridge/2"])),
    "client-certificate-asked": served_by(_ask_for_certificate),
    "other-alert": part(layer=_OtherAlert),
    "one-cipher-suite": served_by(_one_suite),
}
