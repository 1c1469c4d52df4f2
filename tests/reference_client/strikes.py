"""Random faults for schedules, and the exceptions of the client that each of them can cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from cbspec.protocol.codes import ErrorCode
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.effects import ALERTS, DAMAGE, SPELLINGS
from cbspec_simulator.faults.websocket import BROKEN
from cbspec_simulator.faults.when import MessageDirection

REQUESTS: Final = ("hello", "auth", "tunnel_info", "heartbeat")
ANSWERS: Final = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response")
_MEMBERS: Final = {
    "hello_response": ("type", "version", "features"),
    "auth_response": ("type", "status", "client_id", "tenant_id"),
    "tunnel_response": ("type", "status", "tunnel_id"),
    "heartbeat_response": ("type",),
}
_ALL_MEMBERS: Final = sorted({*sum(_MEMBERS.values(), ()), "code", "message", "extra"})
_VALUES: Final[tuple[Any, ...]] = (None, True, 0, 1.5, "", "error", "other", [], {})
_REFUSALS: Final = {code.value: code.title().replace("_", "") for code in ErrorCode}
_CODES: Final = (*_REFUSALS, "teapot")

_LOST: Final = {"ConnectionLost", "ConnectFailed", "TlsRefused"}
_LATE: Final = {"AnswerTimeout", "ConnectFailed"}
_BREACH: Final = {"RelayMisbehaved"}
_UNTRUSTED: Final = {"CertificateNotTrusted"}
_CAUSES: Final[Mapping[str, set[str]]] = {
    "tls-1.2": {"TlsRefused"},
    "certificate-expired": _UNTRUSTED,
    "certificate-not-yet-valid": _UNTRUSTED,
    "certificate-other-name": _UNTRUSTED,
    "certificate-unknown-ca": _UNTRUSTED,
    "certificate-expiring": set(),
    "client-certificate": _LOST,
    "handshake-stall": {"ConnectFailed"},
    "handshake-alert": {"TlsRefused"},
    "refuse": {"ConnectFailed"},
    "silent": _LATE,
    "reset": _LOST,
    "close": _LOST,
    "close-without-notify": _LOST,
    "half-close": _LOST,
    "latency": _LATE,
    "bandwidth": _LATE,
    "dribble": _LATE,
    "split": _LATE,
    "merge": _LATE,
    "websocket-close": {"ConnectionLost"},
    "websocket-fragments": set(),
    "websocket-pings": set(),
    "websocket-broken-frame": _BREACH | {"AnswerTimeout", "ConnectionLost"},
    "drop": _LATE,
    "delay": _LATE,
    "duplicate": _BREACH | {"InvalidToken", "InvalidTunnelInfo"},
    "reorder": _LATE,
    "hold": _LATE,
    "truncate": _BREACH | {"AnswerTimeout"},
    "damage-utf-8": _BREACH,
    "damage-json": _BREACH | {"AnswerTimeout"},
    "oversize": _BREACH,
    "spelling": set(),
    "member": _BREACH | {"UnknownRelayError"},
    "missing-member": _BREACH,
    "wrong-type": _BREACH,
    "wrong-id": _BREACH,
    "wrong-tenant": _BREACH,
    "unavailable": {"ServerUnavailable", "ConnectionLost", "ConnectFailed"},
    "limits": {"TenantLimitExceeded", "ConnectionLimitReached", "BufferPoolExhausted"},
}
"""The exceptions that each kind of fault can cause, without `error` and `unsolicited`, whose bodies name theirs."""

_VALIDITY: Final = ("certificate-expired", "certificate-not-yet-valid", "certificate-expiring")
_RETRIED: Final = {
    *("RateLimitExceeded", "ServerUnavailable", "DataTransferFailed"),
    *("ConnectFailed", "ConnectionLost", "AnswerTimeout"),
}
_CERTAIN: Final = {
    *("tls-1.2", "certificate-expired", "certificate-not-yet-valid", "certificate-other-name"),
    *("certificate-unknown-ca", "handshake-alert", "refuse", "silent", "damage-utf-8", "error", "unavailable"),
    *("drop", "hold", "wrong-tenant", "client-certificate"),
}
"""Kinds that no session survives if they strike without end, at any message."""


def random_params(kind: str, chance: Random, token: str) -> dict[str, Any]:
    """Return parameters of a fault; its texts sometimes have the client's token."""
    said = chance.choice((token, f"{token} is no token", token.split(".")[1], "because"))
    code = chance.choice(_CODES)
    params: dict[str, dict[str, Any]] = {
        "handshake-stall": {"bytes": chance.randrange(200)},
        "handshake-alert": {"alert": chance.choice(sorted(ALERTS))},
        "latency": {"seconds": chance.uniform(0, 20), "jitter": chance.uniform(0, 20)},
        "bandwidth": {"bytes_per_second": chance.choice((2, 20, 2000))},
        "dribble": {"bytes": chance.randint(1, 9), "seconds": chance.choice((0, 0.001, 0.1, 1))},
        "split": {"at": sorted(chance.sample(range(1, 100), 3)), "seconds": chance.choice((0, 0.01, 20))},
        "merge": {"messages": chance.randint(2, 3), "seconds": chance.choice((0.2, 60))},
        "websocket-close": {"code": chance.choice((1000, 1001, 1011, 4000)), "reason": said[:100]},
        "websocket-fragments": {"bytes": chance.randint(1, 50)},
        "websocket-pings": {"payload": said[:100]},
        "websocket-broken-frame": {"how": chance.choice(sorted(BROKEN))},
        "delay": {"seconds": chance.choice((0.1, 3, 20, 60))},
        "duplicate": {"copies": chance.randint(2, 4)},
        "reorder": {"seconds": chance.choice((0.5, 60))},
        "truncate": {"bytes": chance.randrange(60)},
        "damage-json": {"how": chance.choice(sorted(DAMAGE))},
        "oversize": {"bytes": chance.choice((1000, 100_000, 3_000_000))},
        "spelling": {"how": chance.choice(sorted(SPELLINGS))},
        "member": {"member": chance.choice(_ALL_MEMBERS), "value": chance.choice((*_VALUES, token))},
        "missing-member": {"member": chance.choice(_ALL_MEMBERS)},
        "unsolicited": {
            "body": chance.choice(({"type": "heartbeat_response"}, {"type": "error", "code": code, "message": said})),
            "place": chance.choice(("before", "behind")),
        },
        "error": {"code": code, "text": said, "close": chance.random() < 0.3},
        "wrong-type": {"type": chance.choice((*ANSWERS, "teapot", token))},
        "wrong-id": {"value": chance.choice(("another-id", token))},
        "wrong-tenant": {"value": chance.choice(("another-tenant", token))},
        "limits": {chance.choice(("tunnels", "connections", "relay_connections", "buffers")): chance.randrange(4)},
    }
    if kind in ("reset", "close", "close-without-notify", "half-close") and chance.random() < 0.5:
        return {"bytes": chance.randrange(60)}
    return params.get(kind, {})


def random_when(kind: str, chance: Random) -> dict[str, Any]:
    """Return the condition of a fault: at which messages it strikes, how often, and when."""
    when: dict[str, Any] = {}
    if KINDS[kind].standing:
        return {"end": chance.uniform(1, 60)} if chance.random() < 0.7 else {}
    direction = chance.choice([None, *KINDS[kind].directions])
    if direction is MessageDirection.CONNECT:
        when["direction"] = "connect"
    elif direction is not None:
        when["message"] = chance.choice(REQUESTS if direction is MessageDirection.REQUEST else ANSWERS)
    if chance.random() < 0.6:
        when["times"] = chance.randint(1, 5)
    if chance.random() < 0.3:
        key, least, most = chance.choice((("after", 1, 3), ("nth", 1, 3), ("every", 2, 3), ("connection", 1, 3)))
        when[key] = chance.randint(least, most)
    if chance.random() < 0.2:
        when["begin"] = chance.uniform(0, 60)
        when["end"] = when["begin"] + chance.uniform(0, 60)
    return when


def allowed(fault: Mapping[str, Any], transport: str) -> set[str]:
    """Return the names of the exceptions that a fault can cause."""
    kind, body = fault["kind"], fault.get("body", {})
    if kind == "error":
        return {_REFUSALS.get(fault["code"], "UnknownRelayError")} | ({"ConnectionLost"} if fault["close"] else set())
    if kind == "unsolicited":
        return {_REFUSALS.get(body["code"], "UnknownRelayError")} if "code" in body else _BREACH
    return _CAUSES[kind]


def is_worth_retrying(error: Exception) -> bool:
    """Return whether the facts about deployed clients, and no property of the error, say that it is retried."""
    name = type(error).__name__
    return name in _RETRIED or (name == "TlsRefused" and "closed the connection" in str(error))


def hides_identity(kinds: Sequence[str]) -> bool:
    """Return whether a relay shows no valid certificate by TLS 1.3, if these kinds, in their order, strike at it."""
    validity = [kind for kind in kinds if kind in _VALIDITY]  # the last one sets it
    return not {"tls-1.2", "certificate-other-name", "certificate-unknown-ca"}.isdisjoint(kinds) or (
        validity[-1:] not in ([], ["certificate-expiring"])
    )


def must_fail(faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the faults that no session survives, since they strike every time."""
    certain = [str(fault["name"]) for fault in faults if _is_certain(fault)]
    if any(fault["kind"] == "certificate-expiring" for fault in faults):
        certain = [name for name in certain if not name.startswith(_VALIDITY)]
    return certain


def _is_certain(fault: Mapping[str, Any]) -> bool:
    when = fault["when"]
    if when.keys() - {"message", "direction"}:
        return False
    kind, message = str(fault["kind"]), str(when.get("message", ""))
    if kind in ("damage-utf-8", "wrong-tenant") and message in REQUESTS:
        return False
    if kind == "wrong-tenant":
        return message in ("", "auth_response")
    if kind == "missing-member":
        return str(fault["member"]) in _MEMBERS.get(message, ())
    if kind == "unavailable":
        return bool(message != "heartbeat")
    return kind in _CERTAIN
