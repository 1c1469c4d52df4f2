"""Faults of TLS: who the relay says it is, and how the handshake goes wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from cbspec_simulator.base.values import COUNT, one_of, up_to
from cbspec_simulator.faults.kind import VALIDITY, FaultKind, FaultLayer, Greeting, Param, Strike

_TEN_YEARS: Final = 10 * 365 * 24 * 3600

ALERTS: Final = {
    alert.name.removeprefix("ALERT_DESCRIPTION_").lower(): int(alert)
    for alert in ssl.AlertDescription
    if alert is not ssl.ALERT_DESCRIPTION_CLOSE_NOTIFY
}


def _shown(way: str) -> Callable[[Greeting, Strike], None]:
    def connect(greeting: Greeting, strike: Strike) -> None:
        # A certificate is valid for one time only: the last word holds. Everything else goes together.
        greeting.tls = (greeting.tls - VALIDITY if way in VALIDITY else greeting.tls) | {way}
        if "seconds" in strike.params:
            greeting.lifetime = strike["seconds"]

    return connect


def _stall(greeting: Greeting, strike: Strike) -> None:
    greeting.stall_after = strike["bytes"]


def _alert(greeting: Greeting, strike: Strike) -> None:
    greeting.alert = ALERTS[strike["alert"]]


KINDS: Final = (
    FaultKind(
        "tls-1.2",
        FaultLayer.TLS,
        "TLS 1.2 is the newest version that the relay speaks.",
        "CB-TLS-001",
        connect=_shown("tls-1.2"),
    ),
    FaultKind(
        "certificate-expired",
        FaultLayer.TLS,
        "The certificate expired yesterday.",
        "a certificate that nobody renewed",
        connect=_shown("expired"),
    ),
    FaultKind(
        "certificate-not-yet-valid",
        FaultLayer.TLS,
        "The certificate is valid from tomorrow on.",
        "a clock that is wrong, here or there",
        connect=_shown("not-yet-valid"),
    ),
    FaultKind(
        "certificate-expiring",
        FaultLayer.TLS,
        "The certificate is good and expires soon.",
        "a certificate that somebody should renew",
        {"seconds": Param(up_to(_TEN_YEARS).says("how many seconds it is valid still"), 3600)},
        connect=_shown("expiring"),
    ),
    FaultKind(
        "certificate-other-name",
        FaultLayer.TLS,
        "The certificate is another host's.",
        "a relay that took another's address",
        connect=_shown("other-name"),
    ),
    FaultKind(
        "certificate-unknown-ca",
        FaultLayer.TLS,
        "The certificate is of a CA that nobody knows.",
        "a man in the middle",
        connect=_shown("unknown-ca"),
    ),
    FaultKind(
        "client-certificate",
        FaultLayer.TLS,
        "The relay asks for a certificate, and ends the handshake with an alert when the client has none.",
        "a relay behind a gateway that wants certificates of its clients",
        connect=_shown("client-certificate"),
    ),
    FaultKind(
        "handshake-stall",
        FaultLayer.TLS,
        "The relay stops in the middle of the TLS handshake, and keeps the connection.",
        "an overloaded relay",
        {"bytes": Param(COUNT.says("so many bytes of its answer go out first"), 0)},
        connect=_stall,
    ),
    FaultKind(
        "handshake-alert",
        FaultLayer.TLS,
        "The ClientHello is answered with a fatal alert.",
        "a relay that shares no parameters with the client",
        {"alert": Param(one_of(*ALERTS).says("the alert (RFC 8446, 6)"), "handshake_failure")},
        connect=_alert,
    ),
)
