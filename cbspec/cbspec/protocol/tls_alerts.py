"""The alerts of TLS by name, and those that OpenSSL's errors stand for. Source: RFC 8446, 6."""

from __future__ import annotations

import re
import ssl
from typing import Final

ALERTS: Final = {
    **{
        int(alert): alert.name.removeprefix("ALERT_DESCRIPTION_").lower().replace("cancelled", "canceled")
        for alert in ssl.AlertDescription
    },
    86: "inappropriate_fallback",
    109: "missing_extension",
    116: "certificate_required",
    120: "no_application_protocol",
}
"""The names of the alerts by number."""

_RECEIVED: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)")
_OTHER_NAMES: Final = {"user_cancelled": "user_canceled"}
# The alerts that OpenSSL sends for errors after the ServerHello, when they are encrypted.
_SENT: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate_required",
    "DIGEST_CHECK_FAILED": "decrypt_error",
    "BAD_SIGNATURE": "decrypt_error",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "bad_record_mac",
    "BAD_RECORD_TYPE": "unexpected_message",
    "UNEXPECTED_MESSAGE": "unexpected_message",
    "UNEXPECTED_RECORD": "unexpected_message",
    "WRONG_SIGNATURE_TYPE": "illegal_parameter",
    "DATA_LENGTH_TOO_LONG": "record_overflow",
    "ENCRYPTED_LENGTH_TOO_LONG": "record_overflow",
}
# By X.509 verification error (ssl_x509err2alert of OpenSSL); other errors are certificate_unknown.
_REJECTED: Final = {
    **dict.fromkeys((2, 3, 18, 19, 20, 21, 22, 24, 30), "unknown_ca"),
    **dict.fromkeys((4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 27, 28, 62, 63, 64, 66, 67, 68), "bad_certificate"),
    **dict.fromkeys((10, 12), "certificate_expired"),
    23: "certificate_revoked",
    26: "unsupported_certificate",
}


def alert_received(error: ssl.SSLError) -> str:
    """Return the peer's alert that an error reports, "" if it has another cause."""
    found = _RECEIVED.fullmatch(error.reason or "")
    name = found[1].lower() if found else ""
    name = _OTHER_NAMES.get(name, name)
    return name if name in ALERTS.values() else ""


def alert_due(error: ssl.SSLError) -> str:
    """Return the alert that OpenSSL sends for an error of its own, "" if this table doesn't know it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _REJECTED.get(error.verify_code, "certificate_unknown")
    return _SENT.get(error.reason or "", "")


def plain_alert(data: bytes) -> str:
    """Return the alert in an unencrypted record at the end of records, "" if there is none."""
    record = data[-7:]
    return ALERTS.get(record[6], f"alert {record[6]}") if record[:1] + record[3:5] == b"\x15\0\2" else ""
