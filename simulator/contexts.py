"""The TLS contexts of a relay: its own, and those of the faults, each made when it is first asked for."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path

import trustme

from cbspec.identity import DevelopmentCA, development_ca
from simulator.behaviour import Behaviour
from simulator.config import Certificate

_DAY = datetime.timedelta(days=1)
_ANOTHER = "another-relay.example"


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
        self._made: dict[str, ssl.SSLContext] = {}
        self.ca_file = certificate.chain if certificate else self._development().ca_file
        self.own = self._own()

    def __call__(self, name: str, lifetime: float = 0.0) -> ssl.SSLContext:
        """Return the context of a fault, by its name; `lifetime` is for how many seconds a certificate is good."""
        if name == "expiring":  # each time anew: it would have expired by the next
            return self._issued(self._names, datetime.timedelta(seconds=lifetime))
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        match name:
            case "tls-1.2":
                context = self._own()
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
                return context
            case "client-certificate":
                context = self._own()
                context.load_verify_locations(self.ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
                return context
            case "expired":
                return self._issued(self._names, -_DAY)
            case "not-yet-valid":
                return self._served(*self._development().issue(*self._names, not_before=now + _DAY))
            case "other-name":
                return self._served(*self._development().issue(_ANOTHER))
        leaf = trustme.CA(organization_name="nobody knows").issue_cert(*self._names, key_type=trustme.KeyType.ECDSA)
        return self._served(b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes())

    def _issued(self, names: Iterable[str], lifetime: datetime.timedelta) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        made = self._development().issue(*names, not_before=now - 30 * _DAY, not_after=now + lifetime)
        return self._served(*made)

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
