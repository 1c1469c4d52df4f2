"""The TLS contexts of a relay: its own, and those of faults, each made on first use."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import trustme

from cbspec.profile.identity import DevelopmentCA, development_ca
from cbspec_simulator.faults.kind import VALIDITY
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Certificate

_DAY = datetime.timedelta(days=1)
_OTHER_NAME = "another-relay.example"
_CERTIFICATE_VARIATIONS = VALIDITY | {"other-name", "unknown-ca"}


class Contexts:
    """The relay's own context `own`, and others by their variations.

    Arguments: `certificate` is the relay's own (None: one of the development CA, for `names`). Raises OSError or
    ssl.SSLError if its files can't be used.
    """

    def __init__(self, certificate: Certificate | None, behaviour: Behaviour, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._behaviour = behaviour
        self._certificate = certificate
        self._made: dict[frozenset[str], ssl.SSLContext] = {}
        self.ca_file = certificate.chain if certificate else self._ca.ca_file
        self.own = self._own()

    @cached_property
    def _ca(self) -> DevelopmentCA:
        return development_ca()

    def __call__(self, variations: frozenset[str], lifetime: float = 0.0) -> ssl.SSLContext:
        """Return the context with these variations; `lifetime`: seconds of validity of an `expiring` certificate."""
        if "expiring" in variations:  # not cached: it would have expired by the next use
            return self._make(variations, lifetime)
        if variations not in self._made:
            self._made[variations] = self._make(variations, lifetime)
        return self._made[variations]

    def _make(self, variations: frozenset[str], lifetime: float) -> ssl.SSLContext:
        issue = variations & _CERTIFICATE_VARIATIONS
        context = self._serving(*self._issued(variations, lifetime)) if issue else self._own()
        if "tls-1.2" in variations:
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        if "client-certificate" in variations:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _issued(self, variations: frozenset[str], lifetime: float) -> tuple[bytes, bytes]:
        """Issue a certificate; return its chain and key."""
        names = (_OTHER_NAME,) if "other-name" in variations else self._names
        now = datetime.datetime.now(datetime.UTC)
        begin = end = None
        if "expired" in variations:
            begin, end = now - 30 * _DAY, now - _DAY
        elif "expiring" in variations:
            begin, end = now - 30 * _DAY, now + datetime.timedelta(seconds=lifetime)
        elif "not-yet-valid" in variations:
            begin = now + _DAY
        if "unknown-ca" not in variations:
            return self._ca.issue(*names, not_before=begin, not_after=end)
        ca = trustme.CA(organization_name="an unknown CA")
        leaf = ca.issue_cert(*names, key_type=trustme.KeyType.ECDSA, not_before=begin, not_after=end)
        return b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()

    def _own(self) -> ssl.SSLContext:
        if self._certificate is not None:
            return self._behaviour.tls(self._certificate.chain, self._certificate.key)
        return self._serving(*self._behaviour.certificate(self._ca, self._names))

    def _serving(self, chain: bytes, key: bytes) -> ssl.SSLContext:
        # OpenSSL reads certificates from files only.
        with tempfile.TemporaryDirectory(prefix="cbspec-") as folder:
            file = Path(folder, "relay.pem")
            file.touch(mode=0o600)
            file.write_bytes(key + chain)
            return self._behaviour.tls(file, None)
