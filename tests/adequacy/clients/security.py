"""Deviations: TLS that protects nothing (CC-TLS)."""

from __future__ import annotations

import contextlib
import json
import ssl

from cbspec_client.errors import CertificateNotTrusted, ClientError, TlsRefused
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


@deviation("CC-TLS-001", "It can't do TLS 1.3.", "clean")
class _AtMostTls12(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


@deviation("CC-TLS-002", "It offers TLS 1.2 as well.", "tls-1.2-only")
class _Tls12Offered(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class _FallsBack(BaseClient):
    """Tries once more, in another way, if the handshake fails."""

    fallback: ClientError | None = None

    def connect(self) -> None:
        self.fallback = None
        try:
            super().connect()
        except TlsRefused as error:
            if not self.falls_back(error):
                raise
            self.disconnect()
            self.fallback = error
            super().connect()

    def falls_back(self, error: TlsRefused) -> bool:
        return True


@deviation("CC-TLS-002", "It falls back to TLS 1.2 if the handshake fails.", "tls-1.2-only")
class _FallsBackToTls12(_FallsBack):
    def falls_back(self, error: TlsRefused) -> bool:
        return not isinstance(error, CertificateNotTrusted)

    def context(self) -> ssl.SSLContext:
        context = super().context()
        if self.fallback is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@deviation("CC-TLS-003", "It falls back to plain text if the handshake fails.", "tls-refused")
class _FallsBackToPlainText(BaseClient):
    def connect(self) -> None:
        try:
            super().connect()
        except TlsRefused as error:
            if not isinstance(error, CertificateNotTrusted):
                self.in_plain_text()
            raise

    def in_plain_text(self) -> None:
        with contextlib.suppress(OSError), contextlib.closing(self.dial()) as plain:
            plain.sendall(json.dumps({"type": "hello", "version": "1.0", "features": []}).encode() + b"\n")
            plain.recv(1024)


@deviation("CC-TLS-003", "It speaks no TLS at all.", "clean")
class _NoTls(BaseClient):
    def connect(self) -> None:
        self.connections += 1
        plain = self.dial()
        plain.sendall(json.dumps({"type": "hello", "version": "1.0", "features": []}).encode() + b"\n")
        with contextlib.closing(plain), contextlib.suppress(OSError):
            plain.recv(1024)
        raise TlsRefused("the relay closed the connection")


class _Trusting(BaseClient):
    """Goes on in spite of one fault of the certificate."""

    accepted = ""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        if self.blind:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    blind = False

    def connect(self) -> None:
        self.blind = False
        try:
            super().connect()
        except CertificateNotTrusted as error:
            if self.accepted not in str(error):
                raise
            self.disconnect()
            self.blind = True
            super().connect()


@deviation("CC-TLS-004", "It accepts expired certificates.", "certificate-expired")
class _ExpiredAccepted(_Trusting):
    accepted = "expired"


@deviation("CC-TLS-004", "It doesn't check the time of certificates.", "certificate-expired", also=("CC-TLS-005",))
class _TimeNotChecked(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.verify_flags |= _NO_CHECK_TIME
        return context


@deviation("CC-TLS-005", "It accepts certificates that aren't valid yet.", "certificate-not-yet-valid")
class _NotYetValidAccepted(_Trusting):
    accepted = "not yet valid"


@deviation("CC-TLS-006", "It doesn't check the name in the certificate.", "certificate-other-name")
class _NameNotChecked(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.check_hostname = False
        return context


@deviation("CC-TLS-007", "It accepts certificates from unknown CAs.", "certificate-unknown-ca", also=("CC-TLS-008",))
class _UnknownCaAccepted(_Trusting):
    accepted = "issuer"


@deviation(
    "CC-TLS-007", "It checks no certificate at all.", "certificate-unknown-ca",
    also=("CC-TLS-004", "CC-TLS-005", "CC-TLS-006", "CC-TLS-008"),
)  # fmt: skip
class _NothingVerified(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


@deviation("CC-TLS-008", "It checks the certificate of its first connection only.", "certificate-changes")
class _FirstCertificateOnly(BaseClient):
    def context(self) -> ssl.SSLContext:
        context = super().context()
        if self.connections > 1:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
