"""The TLS contexts of a relay: its own, and those of the faults, each made when it is first asked for."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

import trustme

from cbspec.profile.identity import DevelopmentCA, development_ca
from cbspec_simulator.faults.kind import VALIDITY
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Certificate

_DAY = datetime.timedelta(days=1)
_ANOTHER = "another-relay.example"
_OF_CERTIFICATES = VALIDITY | {"other-name", "unknown-ca"}


class Contexts:
    """TLS as a relay serves it.

    Arguments: `certificate` is the relay's own (None: one of the development CA's, for `names`), `behaviour` how it is
    served. Reading it raises OSError or ssl.SSLError where the files can't be used.
    """

    def __init__(self, certificate: Certificate | None, behaviour: Behaviour, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._behaviour = behaviour
        self._certificate = certificate
        self._ca: DevelopmentCA | None = None if certificate else development_ca()
        self._made: dict[frozenset[str], ssl.SSLContext] = {}
        self.ca_file = certificate.chain if certificate else self._development().ca_file
        self.own = self._own()

    def __call__(self, ways: frozenset[str], lifetime: float = 0.0) -> ssl.SSLContext:
        """Return the context of faults, which go together: in which ways TLS is another than the relay's own.

        `lifetime` is for how many seconds a certificate is good that is `expiring`.
        """
        if "expiring" in ways:  # each time anew: it would have expired by the next
            return self._make(ways, lifetime)
        if ways not in self._made:
            self._made[ways] = self._make(ways, lifetime)
        return self._made[ways]

    def _make(self, ways: frozenset[str], lifetime: float) -> ssl.SSLContext:
        context = self._served(*self._issued(ways, lifetime)) if ways & _OF_CERTIFICATES else self._own()
        if "tls-1.2" in ways:
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        if "client-certificate" in ways:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _issued(self, ways: frozenset[str], lifetime: float) -> tuple[bytes, bytes]:
        """Issue a certificate, and return its chain and key."""
        names = (_ANOTHER,) if "other-name" in ways else self._names
        begin, end = _valid(ways, lifetime)
        if "unknown-ca" not in ways:
            return self._development().issue(*names, not_before=begin, not_after=end)
        leaf = trustme.CA(organization_name="nobody knows").issue_cert(
            *names, key_type=trustme.KeyType.ECDSA, not_before=begin, not_after=end
        )
        return b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()

    def _own(self) -> ssl.SSLContext:
        if self._certificate is not None:
            return self._behaviour.tls(self._certificate.chain, self._certificate.key)
        return self._served(*self._behaviour.certificate(self._development(), self._names))

    def _served(self, chain: bytes, key: bytes) -> ssl.SSLContext:
        # OpenSSL reads certificates from files only.
        with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
            file = Path(folder, "relay.pem")
            file.touch(mode=0o600)
            file.write_bytes(key + chain)
            return self._behaviour.tls(file, None)

    def _development(self) -> DevelopmentCA:
        if self._ca is None:
            self._ca = development_ca()
        return self._ca


def _valid(ways: frozenset[str], lifetime: float) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """Return from when and until when a certificate is valid; None: as usual."""
    now = datetime.datetime.now(datetime.UTC)
    if "expired" in ways:
        return now - 30 * _DAY, now - _DAY
    if "expiring" in ways:
        return now - 30 * _DAY, now + datetime.timedelta(seconds=lifetime)
    return (now + _DAY, None) if "not-yet-valid" in ways else (None, None)
