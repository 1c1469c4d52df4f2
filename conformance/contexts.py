"""TLS contexts as the profile asks for them, made once: loading CA files is dear."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from cbspec.identity import development_ca
from cbspec.profile import Endpoint, Tls
from cbspec.tls import Trust, client_context


@lru_cache
def _context(trust: Path | Trust) -> ssl.SSLContext:
    return client_context(trust)


def context_for(tls: Tls, endpoint: Endpoint) -> ssl.SSLContext:
    """Return the context for connections to `endpoint`. Raises OSError or ssl.SSLError for an unusable CA file."""
    del endpoint  # which CA applies was decided when the profile was resolved
    if not tls.verify:
        return _context(Trust.NOBODY_CHECKS)
    if tls.ca == "development":
        return _context(development_ca().ca_file)
    return _context(Trust.SYSTEM if tls.ca in (None, "system") else Path(tls.ca))
