"""TLS contexts: certificates and trust from files, TLS 1.3 only unless a caller requests an old version.

All log their keys if `cbspec.keylog` says so, and raise its KeyLogUnusable.
"""

from __future__ import annotations

import os
import ssl
import warnings
from enum import StrEnum
from pathlib import Path

from cbspec.keylog import key_log


class Trust(StrEnum):
    """The trust of a client without a CA file: the system's CAs, or any certificate."""

    SYSTEM = "system"
    ANY = "any"


def why_no_tls_1_3() -> str:
    """Return "" if the local OpenSSL can use TLS 1.3, else the reason and the remedy in one sentence."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    highest = context.maximum_version
    lower = highest is not ssl.TLSVersion.MAXIMUM_SUPPORTED and highest < ssl.TLSVersion.TLSv1_3
    suites = any(cipher["protocol"] == "TLSv1.3" for cipher in context.get_ciphers())
    if ssl.HAS_TLSv1_3 and suites and not lower and not context.options & ssl.OP_NO_TLSv1_3:
        return ""
    file = os.environ.get("OPENSSL_CONF") or "openssl.cnf"
    return (
        f"this machine's OpenSSL configuration ({file}) forbids TLS 1.3, which every connection must use: remove "
        "MaxProtocol, Protocol or Ciphersuites from it, or set OPENSSL_CONF to another file"
    )


def _new(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    if file := key_log():
        context.keylog_filename = file
    return context


def server_context(chain: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return a context that serves TLS 1.3 only, with the PEM files `chain` and `key` (None: the key is in `chain`).

    Raises OSError with the file's name, or ssl.SSLError if the key is encrypted or doesn't belong to the certificate.
    """
    for file in filter(None, (chain, key)):
        file.open("rb").close()  # OpenSSL's own error lacks the name
    context = _new(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(chain, key, password=_reject_password)
    return context


def _reject_password() -> str:
    raise ssl.SSLError("the key is encrypted")  # instead of OpenSSL's prompt on the terminal


def client_context(trust: Path | Trust = Trust.SYSTEM) -> ssl.SSLContext:
    """Return a context that offers TLS 1.3 only; `trust` may be a PEM file with CA certificates.

    Raises OSError or ssl.SSLError if the CA file is unreadable or has no certificate.
    """
    context = _new(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if trust is Trust.ANY:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust is Trust.SYSTEM:
        context.load_default_certs()
    else:
        context.load_verify_locations(trust)
    return context


def legacy_client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a context that offers exactly `version`, with every cipher, so that only the peer can refuse it.

    It verifies no certificate: never send a secret over it.
    """
    context = _new(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are offered to see their refusal
        context.maximum_version = version
    if version >= ssl.TLSVersion.TLSv1_2:
        context.minimum_version = version
    return context
