"""Deviations of errors: their members, their texts, each listed code, and unknown message types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from cbspec.protocol.framing import RawMessage
from cbspec.protocol.messages import Auth, Heartbeat, Message, TunnelInfo, Violation
from cbspec.protocol.strictjson import NotStrictJson
from cbspec.tokens.jws import CompactJws
from cbspec_simulator.relay.behaviour import AnswerContext, Body
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
)
from cbspec_simulator.variations.parts import Change
from cbspec_simulator.variations.requests import Decode, decoding, understands

_UNKNOWN_TYPE = refused_by("CB-UNK-001")


def _with_token(exchange: AnswerContext) -> str:
    token = exchange.request.token if isinstance(exchange.request, Auth) else ""
    return f"the token {token} is not accepted"


def _quoting(decode: Decode, frame: RawMessage, max_depth: int) -> object:
    """Quote input that isn't JSON in the error."""
    try:
        return decode(frame, max_depth)
    except NotStrictJson as error:
        raise NotStrictJson(frame.text.decode(errors="replace"), utf8=error.utf8) from None


def _heartbeat_if(test: Callable[[object], bool]) -> Change:
    """Take a message as a heartbeat if `test` is true of its type."""

    def around(understand: Callable[[object], Message | Violation], value: object) -> Message | Violation:
        hit = isinstance(value, dict) and test(value.get("type"))
        return Heartbeat() if hit else understand(value)

    return understands(around)


def _name(test: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda name: isinstance(name, str) and test(name)


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

        def edited(body: Body, exchange: AnswerContext) -> Body | list[Body]:
            return edit(body, exchange) if self.text in str(body.get("message")) else body

        return answers(f"error:{self.code}", edited, self.when)

    def changes(self) -> Iterator[tuple[str, Change]]:
        """Give the deviations of this cause."""
        id_ = self.code.replace("_", "-")
        yield f"{id_}-unlisted", self.edited(put("code", self.unlisted))
        yield f"{id_}-without-message", self.edited(drop("message"))
        yield f"{id_}-as-its-own-type", self.edited(instead(type=self.code, message="refused"))


_EXPIRED = _Cause("invalid_token", "token_expired", text="expired")
_BAD_PORT = _Cause("invalid_tunnel_info", "bad_port", refused_by("CB-TUN-010"))
_CAUSES = (
    _EXPIRED,
    _BAD_PORT,
    _Cause("rate_limit_exceeded", "too_many_requests"),
    _Cause("connection_limit_reached", "too_many_connections"),
    _Cause("server_unavailable", "service_unavailable"),
    _Cause("unknown_message_type", "unsupported", _UNKNOWN_TYPE),
    _Cause("tenant_limit_exceeded", "quota_exceeded", request_is(TunnelInfo)),
    _Cause("tenant_not_found", "no_such_tenant", _of_unknown_tenant),
    _Cause("ip_not_allowed", "forbidden"),
    _Cause("buffer_pool_exhausted", "out_of_memory"),
    _Cause("data_transfer_failed", "dial_failed"),
)


def _status(cause: _Cause, answer: str) -> Change:
    return cause.edited(instead(type=answer, status="error", error=cause.code))


CHANGES: dict[str, Change] = {
    **dict(change for cause in _CAUSES for change in cause.changes()),
    "invalid-token-as-a-status": _status(_EXPIRED, "auth_response"),
    "invalid-tunnel-info-as-a-status": _status(_BAD_PORT, "tunnel_response"),
    "error-message-null": answers("error", put("message", None)),
    "error-quotes-token": answers("error:invalid_token", put("message", _with_token)),
    "error-quotes-what-is-no-json": decoding(_quoting),
    "type-trimmed": _heartbeat_if(_name(lambda name: name != name.strip())),
    "type-ping-understood": _heartbeat_if(_name(lambda name: name == "ping")),
}
