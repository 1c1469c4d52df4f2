"""TLS contexts for the profile's settings, cached: loading CA files is slow."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from cbspec.profile.identity import development_ca_file
from cbspec.profile.profile import TlsSettings
from cbspec.tls_contexts import Trust, client_context


def context_for(tls: TlsSettings) -> ssl.SSLContext:
    """Return the context for connections to the relay. Raises OSError or ssl.SSLError for an unusable file."""
    trust: Path | Trust = Trust.SYSTEM if tls.ca in (None, "system") else Path(tls.ca)
    if not tls.verify:
        trust = Trust.ANY
    elif tls.ca == "development":
        trust = development_ca_file()
    return _context(trust, tls.client_certificate, tls.client_key)


@lru_cache
def _context(trust: Path | Trust, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    context = client_context(trust)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
