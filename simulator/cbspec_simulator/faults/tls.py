"""TLS faults: wrong certificates, old versions and failing handshakes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import partial
from typing import Final

from cbspec_simulator.base.values import Natural, one_of, up_to
from cbspec_simulator.faults.kind import VALIDITY, FaultKind, FaultLayer, Greeting, Param, Strike

_TEN_YEARS: Final = 10 * 365 * 24 * 3600

ALERTS: Final = {
    alert.name.removeprefix("ALERT_DESCRIPTION_").lower(): int(alert)
    for alert in ssl.AlertDescription
    if alert is not ssl.ALERT_DESCRIPTION_CLOSE_NOTIFY
}


def _stall(greeting: Greeting, strike: Strike) -> None:
    greeting.stall_after = strike["bytes"]


def _alert(greeting: Greeting, strike: Strike) -> None:
    greeting.alert = ALERTS[strike["alert"]]


_kind = partial(FaultKind, FaultLayer.TLS)


def _varied(name: str, sentence: str, stands_for: str, params: Mapping[str, Param] | None = None) -> FaultKind:
    """Return the kind that changes the relay's TLS by the variation of the same name (`edge/contexts.py`)."""
    variation = name.removeprefix("certificate-")

    def connect(greeting: Greeting, strike: Strike) -> None:
        # A certificate has one validity period, so the last fault sets it. Other variations can be combined.
        greeting.tls = (greeting.tls - VALIDITY if variation in VALIDITY else greeting.tls) | {variation}
        if "seconds" in strike.params:
            greeting.lifetime = strike["seconds"]

    return _kind(name, sentence, stands_for, params or {}, connect=connect)


KINDS: Final = (
    _varied("tls-1.2", "The relay supports no TLS version after 1.2.", "CB-TLS-001"),
    _varied("certificate-expired", "The certificate expired yesterday.", "a certificate that was not renewed"),
    _varied("certificate-not-yet-valid", "The certificate is valid from tomorrow on.", "a wrong clock on either side"),
    _varied(
        "certificate-expiring",
        "The certificate is valid and expires soon.",
        "a certificate that is due for renewal",
        {"seconds": Param(up_to(_TEN_YEARS), "remaining validity in seconds", 3600)},
    ),
    _varied(
        "certificate-other-name", "The certificate is for another host name.", "a relay at the address of another one"
    ),
    _varied("certificate-unknown-ca", "The certificate is signed by an unknown CA.", "a man-in-the-middle attack"),
    _varied(
        "client-certificate",
        "The relay requires a client certificate and ends the handshake with an alert without one.",
        "a relay behind a gateway with mutual TLS",
    ),
    _kind(
        "handshake-stall",
        "The relay stops in the middle of the TLS handshake and keeps the connection open.",
        "an overloaded relay",
        {"bytes": Param(Natural, "bytes of its first flight that are sent before", 0)},
        connect=_stall,
    ),
    _kind(
        "handshake-alert",
        "The relay answers the ClientHello with a fatal alert.",
        "a relay without common TLS parameters",
        {"alert": Param(one_of(*ALERTS), "the alert (RFC 8446, 6)", "handshake_failure")},
        connect=_alert,
    ),
)
