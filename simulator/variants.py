"""Named ways to be right and different: freedoms that the specification leaves, taken on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cbspec.codes import ErrorCode
from cbspec.connection import Framer, RequestRefused
from cbspec.framing import StreamFramer
from simulator.behaviour import Behaviour, Body, Exchange
from simulator.compose import Change, answers, both, part, put, recoded, refusals
from simulator.config import Limits
from simulator.limits import Account
from simulator.steps import BUFFERS, TENANT_TUNNELS, Attempt, Refused

_PAUSE = 0.3


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to be right and different."""

    id: str
    sentence: str
    change: Change


def writing(**parts: Any) -> Change:  # noqa: ANN401 - checked by the parts' own names
    """Write in another way."""
    return lambda behaviour: replace(behaviour, writing=replace(behaviour.writing, **parts))


def _bytes(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def _halves(data: bytes) -> Iterator[bytes]:
    middle = len(data) // 2
    yield from (half for half in (data[:middle], data[middle:]) if half)


def _spelt(function: object) -> Change:
    return part(spell=function)


def _reversed(body: Body, _: Exchange) -> list[bytes]:
    return [json.dumps(dict(reversed(body.items()))).encode()]


def _indented(body: Body, _: Exchange) -> list[bytes]:
    return [json.dumps(body, indent=2).replace("\n", "\r\n").encode()]


def _escape(text: str) -> str:
    return '"' + "".join(f"\\u{ord(unit):04x}" for unit in text) + '"'


def _escaped(body: Body, _: Exchange) -> list[bytes]:
    members = (
        f"{_escape(name)}\t:  {_escape(value) if isinstance(value, str) and value.isascii() else json.dumps(value)}"
        for name, value in body.items()
    )
    return [("{ " + " ,\t".join(members) + " }").encode()]


class _Crlf(StreamFramer):
    """Ends each message as Windows ends lines."""

    __slots__ = ()

    @staticmethod
    def encode(text: bytes) -> bytes:
        return text + b"\r\n"


class _Unseparated(StreamFramer):
    """Sends one object after another with nothing between."""

    __slots__ = ()

    @staticmethod
    def encode(text: bytes) -> bytes:
        return text


def _crlf(limits: Limits) -> Framer:
    return _Crlf(max_message=limits.max_message, max_depth=limits.max_depth)


def _extra(body: Body, exchange: Exchange) -> Body:
    return {"at": exchange.nth, **body, "server": {"name": "relay", "load": [0.5, None]}, "note": "ünïcode ✓"}


def _extra_everywhere() -> Change:
    kinds = ("hello_response", "auth_response", "tunnel_response", "heartbeat_response", "error")
    return both(*(answers(kind, _extra) for kind in kinds))


def _limits_first(attempt: Attempt, event: RequestRefused) -> Refused | None:
    """Look at the limits before the tunnel_info itself."""
    identity = attempt.identity
    if identity is None or event.code is not ErrorCode.INVALID_TUNNEL_INFO:
        return None
    for quota, holder, limit in (
        (TENANT_TUNNELS, identity.tenant.id, identity.tenant.tunnel_limit),
        (BUFFERS, None, attempt.relay.config.relay.buffer_pool),
    ):
        if limit is not None and attempt.relay.ledger.used(Account(quota.name, holder)) >= limit:
            return Refused(quota.code, quota.text)
    return None


_ALL = (
    Variant("dribble", "Every byte goes out in a TLS record of its own.", writing(pieces=_bytes)),
    Variant("split-records", "Every message goes out in two TLS records.", writing(pieces=_halves)),
    Variant("merged-answers", "Answers to requests that arrived together go out as one.", writing(merge=True)),
    Variant("slow", "Every answer comes 300 ms late.", writing(delay=_PAUSE)),
    Variant("no-close-notify", "Connections are closed without close_notify.", writing(close_notify=False)),
    Variant("member-order", "Members come in reverse order.", _spelt(_reversed)),
    Variant("indented", "Objects go over several lines, with CRLF between them.", _spelt(_indented)),
    Variant(
        "escapes", "Names and texts are written in escapes, with white space wherever it may be.", _spelt(_escaped)
    ),
    Variant("extra-members", "Every answer has members that the specification doesn't name.", _extra_everywhere()),
    Variant("crlf", "Messages end with carriage return and line feed.", part(stream=_crlf)),
    Variant(
        "close-after-error",
        "The connection is closed after every error.",
        part(ends=lambda body: body["type"] == "error"),
    ),
    Variant("tcp-only", "WebSocket is not spoken.", part(is_websocket=lambda _: False)),
    Variant("websocket-only", "Nothing but WebSocket is spoken.", part(is_websocket=lambda _: True)),
    Variant(
        "fewer-features",
        "The hello_response lists three features only.",
        answers("hello_response", put("features", ["tls", "tunnel_info", "multi_tenancy"])),
    ),
    Variant(
        "more-features",
        "The hello_response lists a feature that the specification doesn't name.",
        answers("hello_response", lambda body, _: {**body, "features": [*body["features"], "drain"]}),
    ),
    Variant("leeway", "Tokens are good for five minutes more at either end.", part(leeway=300.0)),
    Variant(
        "tenant-error-as-invalid-token",
        "A token of a tenant that isn't served is refused as invalid.",
        recoded("known-tenant", ErrorCode.INVALID_TOKEN),
    ),
    Variant(
        "foreign-tenant-as-invalid-tunnel-info",
        "A tunnel for another tenant is refused as invalid.",
        recoded("own-tenant", ErrorCode.INVALID_TUNNEL_INFO),
    ),
    Variant(
        "limits-before-validation",
        "Limits are looked at before the tunnel_info itself.",
        refusals(_limits_first),
    ),
    Variant("terse-errors", "Every error has the same short text.", answers("error", put("message", "refused"))),
)

VARIANTS = {variant.id: variant for variant in _ALL}
"""Every variant by its id."""


def varied(behaviour: Behaviour, *ids: str) -> Behaviour:
    """Return the behaviour with variants laid over it; KeyError where one isn't known."""
    return both(*(VARIANTS[id_].change for id_ in ids))(behaviour)
