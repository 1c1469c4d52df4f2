"""Errors: their members, their texts, each listed code, and unknown message types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Auth, Heartbeat, TunnelInfo, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.tokens.jws import CompactJws
from cbspec_simulator.relay.behaviour import AnswerContext
from cbspec_simulator.variations.answers import (
    Edit,
    When,
    always,
    answers,
    drop,
    instead,
    put,
    refused_by,
    request_is,
    texts,
)
from cbspec_simulator.variations.parts import Change, around, both
from cbspec_simulator.variations.requests import Decode


def _with_token(exchange: AnswerContext) -> str:
    token = exchange.request.token if isinstance(exchange.request, Auth) else ""
    return f"the token {token} is not accepted"


def _quoting(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    """Quote input that isn't JSON in the error."""
    try:
        return decode(frame, max_depth)
    except NotStrictJson as error:
        raise NotStrictJson(frame.text.decode(errors="replace"), utf8=error.utf8) from None


def _tenants(exchange: AnswerContext) -> str:
    """Return a text that names the tenants of all connections."""
    sessions = exchange.connection.relay.connections
    return f"refused; connected are {sorted({each.identity.tenant.id for each in sessions if each.identity})}"


def _unescaped(text: bytes) -> bytes:
    """Undo the escapes of quotation marks."""
    return text.replace(b'\\"', b'"')


def _naming_type(understand: Callable[[Any], object], value: Any) -> object:  # noqa: ANN401 - a JSON value
    """Name an unknown type in the error."""
    found = understand(value)
    if isinstance(found, Violation) and found.requirement == "CB-UNK-001":
        return replace(found, text=f"unknown type {value['type']}")
    return found


def _heartbeat_if(test: Callable[[str], bool]) -> Change:
    """Take a message as a heartbeat if `test` is true of its type."""

    def understand(before: Callable[[Any], object], value: Any) -> object:  # noqa: ANN401 - a JSON value
        name = value.get("type") if isinstance(value, dict) else None
        return Heartbeat() if isinstance(name, str) and test(name) else before(value)

    return around("understand", understand)


def _of_unknown_tenant(exchange: AnswerContext) -> bool:
    if not isinstance(exchange.request, Auth):
        return False
    try:
        named = CompactJws.split(exchange.request.token).claims.get("tenant_id")
    except ValueError:
        return False
    return isinstance(named, str) and named not in exchange.connection.relay.tenants


class _Cause(NamedTuple):
    """A cause of a listed code: an unlisted code to send instead, and how its errors are recognised.

    Errors are edited if `when` is true and their message contains `text`.
    """

    code: str
    unlisted: str
    when: When = always
    text: str = ""

    def edited(self, edit: Edit) -> Change:
        """Edit the errors of this cause."""
        return answers(
            f"error:{self.code}",
            lambda body, exchange: edit(body, exchange) if self.text in str(body.get("message")) else body,
            self.when,
        )

    def changes(self) -> Iterator[tuple[str, Change]]:
        """Give the deviations of this cause."""
        id_ = self.code.replace("_", "-")
        yield f"{id_}-unlisted", self.edited(put("code", self.unlisted))
        yield f"{id_}-without-message", self.edited(drop("message"))
        yield f"{id_}-as-its-own-type", self.edited(instead(type=self.code, message="refused"))

    def as_status(self, answer: str) -> Change:
        """Send an answer with the status "error" instead."""
        return self.edited(instead(type=answer, status="error", error=self.code))


_EXPIRED = _Cause("invalid_token", "token_expired", text="expired")
_BAD_PORT = _Cause("invalid_tunnel_info", "bad_port", refused_by("CB-TUN-010"))
_CAUSES = (
    _EXPIRED,
    _BAD_PORT,
    _Cause("rate_limit_exceeded", "too_many_requests"),
    _Cause("connection_limit_reached", "too_many_connections"),
    _Cause("server_unavailable", "service_unavailable"),
    _Cause("unknown_message_type", "unsupported", refused_by("CB-UNK-001")),
    _Cause("tenant_limit_exceeded", "quota_exceeded", request_is(TunnelInfo)),
    _Cause("tenant_not_found", "no_such_tenant", _of_unknown_tenant),
    _Cause("ip_not_allowed", "forbidden"),
    _Cause("buffer_pool_exhausted", "out_of_memory"),
    _Cause("data_transfer_failed", "dial_failed"),
)

CHANGES: dict[str, Change] = {
    **dict(change for cause in _CAUSES for change in cause.changes()),
    "invalid-token-as-a-status": _EXPIRED.as_status("auth_response"),
    "invalid-tunnel-info-as-a-status": _BAD_PORT.as_status("tunnel_response"),
    "error-message-null": answers("error", put("message", None)),
    "error-quotes-token": answers("error:invalid_token", put("message", _with_token)),
    "error-quotes-what-is-no-json": around("decode", _quoting),
    "error-names-connected-tenants": answers("error:invalid_tunnel_info", put("message", _tenants)),
    "limit-names-every-tenant": answers(
        "error:tenant_limit_exceeded",
        put("message", lambda exchange: f"the tenants {sorted(exchange.connection.relay.tenants)} share the room"),
    ),
    "tunnel-id-unescaped": texts("tunnel_response", _unescaped),
    "client-id-unescaped": texts("auth_response", _unescaped),
    "unknown-type-unescaped": both(around("understand", _naming_type), texts("error:unknown_message_type", _unescaped)),
    "type-compared-by-prefix": _heartbeat_if(lambda name: name != "heartbeat" and name.startswith("heartbeat")),
    "type-cut-at-nul": _heartbeat_if(lambda name: "\0" in name and name.partition("\0")[0] == "heartbeat"),
    "type-trimmed": _heartbeat_if(lambda name: name != name.strip()),
    "type-ping-understood": _heartbeat_if(lambda name: name == "ping"),
}
