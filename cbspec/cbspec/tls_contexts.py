"""TLS contexts: certificates and trust from files, TLS 1.3 only unless a caller asks for an old version."""

from __future__ import annotations

import ssl
import warnings
from enum import StrEnum
from pathlib import Path


class Trust(StrEnum):
    """Whose certificates a client accepts, where it isn't a CA file's."""

    SYSTEM = "system"
    NOBODY_CHECKS = "nobody checks"


def server_context(chain: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return a context that serves TLS 1.3 only, with the PEM files `chain` and `key` (None: in the chain's file).

    Raises OSError (which names the file) or ssl.SSLError where they can't be read, the key is encrypted, or they don't
    fit each other.
    """
    for file in filter(None, (chain, key)):
        file.open("rb").close()  # OpenSSL's own error doesn't say which
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(chain, key, password=_no_password)
    return context


def _no_password() -> str:
    # Nobody sits there to be asked, which is what OpenSSL would do.
    raise ssl.SSLError("the key is encrypted")


def client_context(trust: Path | Trust = Trust.SYSTEM) -> ssl.SSLContext:
    """Return a context that offers TLS 1.3 only and accepts what `trust` vouches for.

    Raises OSError or ssl.SSLError where a CA file can't be read or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if trust is Trust.NOBODY_CHECKS:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust is Trust.SYSTEM:
        context.load_default_certs()
    else:
        context.load_verify_locations(trust)
    return context


def legacy_client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a context that offers exactly `version`, with every cipher: only the peer is to refuse it.

    It verifies nothing, so it must carry no secret.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():
        # Python warns of the versions whose refusal is to be seen; a run with warnings as errors mustn't stop on it.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = version
    if version >= ssl.TLSVersion.TLSv1_2:
        context.minimum_version = version
    return context
