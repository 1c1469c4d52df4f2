"""Deviations: what is no success, or no answer at all, is taken for one (CC-REF, CC-BRK, CC-AUT-003)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cbspec.protocol.messages import AuthResponse, Error, Message, Request, TunnelInfo, TunnelResponse, Violation
from cbspec_client.errors import ConnectionLost
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation

_UNKNOWN_CODE = "maintenance_window"  # that of the situations with a code of another specification

_Belief = Callable[[Request, bytes, Message | Violation], bool]
"""Whether an answer to a request, given as its text and what it is, is taken for a success."""


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _credulous(name: str, requirement: str, sentence: str, belief: _Belief, *situations: str) -> None:
    """Register a client that takes answers for a success as `belief` says; `name` is that of its class."""

    class Credulous(BaseClient):
        def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
            read, asked = super().understood(text, found), self.session.asked
            return self.success() if asked is not None and belief(asked, text, read) else read

    Credulous.__name__ = name
    deviation(requirement, sentence, *situations)(Credulous)


# ------------------------------------------------------------------------------------------------ refusals
def _errors(step: str, *codes: str) -> _Belief:
    """Return the belief that errors of some codes (default: those of the specification) are a success of a step."""

    def belief(asked: Request, _: bytes, found: Message | Violation) -> bool:
        named = isinstance(found, Error) and (found.code in codes if codes else found.code != _UNKNOWN_CODE)
        return asked.type == step and named

    return belief


def _status(answer: type[AuthResponse | TunnelResponse], wanted: Callable[[str], bool]) -> _Belief:
    def belief(asked: Request, _: bytes, found: Message | Violation) -> bool:
        other = (
            isinstance(asked, TunnelInfo) and isinstance(found, TunnelResponse) and found.tunnel_id != asked.tunnel_id
        )
        return isinstance(found, answer) and wanted(found.status) and not other

    return belief


_HELLO, _AUTH, _TUNNEL, _BEAT = "hello", "auth", "tunnel_info", "heartbeat"

# fmt: off
_credulous("ErrorsAfterHelloIgnored", "CC-REF-001", "It takes any error in answer to its hello for a success.",
    _errors(_HELLO), "hello-server_unavailable", "hello-invalid_token")
_credulous("AddressRefusedAtHelloIgnored", "CC-REF-001",
    "After ip_not_allowed in answer to its hello it authenticates nevertheless.",
    _errors(_HELLO, "ip_not_allowed"), "hello-ip_not_allowed")
_credulous("RateLimitAtHelloIgnored", "CC-REF-001",
    "After rate_limit_exceeded in answer to its hello it authenticates nevertheless.",
    _errors(_HELLO, "rate_limit_exceeded"), "hello-rate_limit_exceeded")
_credulous("ErrorsAfterAuthIgnored", "CC-REF-002", "It takes any error in answer to its auth for a success.",
    _errors(_AUTH), "auth-invalid_token", "auth-server_unavailable")
_credulous("TenantNotFoundIgnored", "CC-REF-002",
    "After tenant_not_found in answer to its auth it opens its tunnel nevertheless.",
    _errors(_AUTH, "tenant_not_found"), "auth-tenant_not_found")
_credulous("ConnectionLimitIgnored", "CC-REF-002", "After connection_limit_reached in answer to its auth it goes on.",
    _errors(_AUTH, "connection_limit_reached"), "auth-connection_limit_reached")
_credulous("ErrorsAfterTunnelIgnored", "CC-REF-003", "It takes any error in answer to its tunnel_info for a success.",
    _errors(_TUNNEL), "tunnel_info-tenant_limit_exceeded", "tunnel_info-invalid_tunnel_info")
_credulous("BufferPoolIgnored", "CC-REF-003",
    "It takes buffer_pool_exhausted for a success: only the data will show it.",
    _errors(_TUNNEL, "buffer_pool_exhausted"), "tunnel_info-buffer_pool_exhausted")
_credulous("ErrorsAfterHeartbeatIgnored", "CC-REF-004", "It takes any error in answer to a heartbeat for an answer.",
    _errors(_BEAT), "heartbeat-rate_limit_exceeded", "heartbeat-invalid_token")
_credulous("UnavailableAfterHeartbeatIgnored", "CC-REF-004",
    "It takes server_unavailable in answer to a heartbeat for an answer.",
    _errors(_BEAT, "server_unavailable"), "heartbeat-server_unavailable")
_credulous("AuthStatusErrorIgnored", "CC-REF-007", 'It takes an auth_response with the status "error" for a success.',
    _status(AuthResponse, lambda status: status == "error"), "auth-status-error")
_credulous("TunnelStatusErrorIgnored", "CC-REF-007",
    'It takes a tunnel_response with the status "error" for a success.',
    _status(TunnelResponse, lambda status: status == "error"), "tunnel_info-status-error")
_credulous("UnknownCodeAtHelloIgnored", "CC-REF-008", "It ignores a code that it doesn't know in answer to its hello.",
    _errors(_HELLO, _UNKNOWN_CODE), "hello-unknown-code")
_credulous("UnknownCodeAtAuthIgnored", "CC-REF-008", "It ignores a code that it doesn't know in answer to its auth.",
    _errors(_AUTH, _UNKNOWN_CODE), "auth-unknown-code")
_credulous("UnknownCodeAtTunnelIgnored", "CC-REF-008",
    "It ignores a code that it doesn't know in answer to its tunnel_info.",
    _errors(_TUNNEL, _UNKNOWN_CODE), "tunnel_info-unknown-code")
_credulous("UnknownCodeAtHeartbeatIgnored", "CC-REF-008",
    "It ignores a code that it doesn't know in answer to its heartbeats.",
    _errors(_BEAT, _UNKNOWN_CODE), "heartbeat-unknown-code")
# fmt: on


# ---------------------------------------------------------------------------------------- unreadable answers
def _not_utf_8(*steps: str) -> _Belief:
    def belief(asked: Request, text: bytes, found: Message | Violation) -> bool:
        try:
            text.decode()
        except UnicodeDecodeError:
            replaced = _object(text.decode(errors="replace").encode())
            return asked.type in steps and isinstance(found, Violation) and "type" in replaced
        return False

    return belief


def _no_json(*steps: str, begins: bytes = b"", not_: bytes = b"\0") -> _Belief:
    def belief(asked: Request, text: bytes, found: Message | Violation) -> bool:
        spelled = text.startswith(begins) and not text.startswith(not_)
        return asked.type in steps and isinstance(found, Violation) and spelled

    return belief


# fmt: off
_credulous("InvalidUtf8Replaced", "CC-BRK-001", "It replaces bytes that aren't UTF-8, as many libraries do.",
    _not_utf_8(_HELLO, _AUTH, _TUNNEL, _BEAT), "auth-answer-not-utf-8", "hello-answer-not-utf-8")
_credulous("TunnelAnswerInLatin1", "CC-BRK-001", "It reads tunnel_responses as Latin-1.",
    _not_utf_8(_TUNNEL), "tunnel_info-answer-not-utf-8")
_credulous("HeartbeatAnswerInLatin1", "CC-BRK-001", "It reads heartbeat_responses as Latin-1.",
    _not_utf_8(_BEAT), "heartbeat-answer-not-utf-8")
_credulous("SingleQuotesAccepted", "CC-BRK-002", "It reads answers with a lenient parser, which accepts single quotes.",
    _no_json(_HELLO, _AUTH, _TUNNEL, _BEAT, begins=b"{'"), "auth-answer-not-json", "hello-answer-not-json")
_credulous("AnyLineIsHello", "CC-BRK-002", "It takes any line for the answer to its hello.",
    _no_json(_HELLO, not_=b"{"), "hello-answer-words")
_credulous("AnyLineIsTunnel", "CC-BRK-002", "It takes any line for the answer to its tunnel_info.",
    _no_json(_TUNNEL, not_=b"{"), "tunnel_info-answer-words")
# fmt: on


@deviation(
    "CC-BRK-003", "It takes half an auth_response for a success if the connection ends with it.", "auth-answer-cut-off"
)
class _HalfAnAuthAccepted(BaseClient):
    retries = 1000

    def authenticate(self) -> None:
        try:
            super().authenticate()
        except ConnectionLost:
            if self.session.framer.pending:
                self.say(f"authenticated for {self.tenant}")
            raise


@deviation(
    "CC-BRK-003",
    "It takes half a tunnel_response for a success if the connection ends with it.",
    "tunnel_info-answer-cut-off",
)
class _HalfATunnelAccepted(BaseClient):
    retries = 1000

    def open_tunnel(self, tunnel: TunnelInfo) -> None:
        try:
            super().open_tunnel(tunnel)
        except ConnectionLost:
            if self.session.framer.pending:
                self.say(f"{tunnel.tunnel_id} is open")
            raise


# ---------------------------------------------------------------------------------------- wrong answers
def _typed(type_: str | None, *steps: str) -> _Belief:
    def belief(asked: Request, text: bytes, _: Message | Violation) -> bool:
        return asked.type in steps and text.startswith(b"{") and _object(text).get("type") == type_

    return belief


def _lacks(step: str, member: str) -> _Belief:
    def belief(asked: Request, text: bytes, _: Message | Violation) -> bool:
        read = _object(text)
        return asked.type == step and bool(read) and member not in read and read.get("type") != "error"

    return belief


def _holds(step: str, member: str, kind: type) -> _Belief:
    def belief(asked: Request, text: bytes, _: Message | Violation) -> bool:
        read = _object(text)
        return asked.type == step and member in read and isinstance(read[member], kind)

    return belief


# fmt: off
_credulous("OtherTypeAfterAuth", "CC-BRK-004", "It takes a heartbeat_response for the answer to its auth.",
    _typed("heartbeat_response", _AUTH), "auth-answer-wrong-type")
_credulous("OtherTypeAfterHello", "CC-BRK-004", "It takes a heartbeat_response for the answer to its hello.",
    _typed("heartbeat_response", _HELLO), "hello-answer-wrong-type")
_credulous("UnknownTypesAccepted", "CC-BRK-004", "It doesn't look at the type of an answer whose type it doesn't know.",
    _typed("surprise", _HELLO, _AUTH, _TUNNEL), "auth-answer-unknown-type", "tunnel_info-answer-unknown-type")
_credulous("ClientIdNotMissed", "CC-BRK-005", "It doesn't miss the client_id in an auth_response.",
    _lacks(_AUTH, "client_id"), "auth-answer-without-client_id")
_credulous("TenantIdNotMissed", "CC-BRK-005", "It doesn't miss the tenant_id in an auth_response.",
    _lacks(_AUTH, "tenant_id"), "auth-answer-without-tenant_id")
_credulous("AuthStatusNotMissed", "CC-BRK-005", "It doesn't miss the status in an auth_response.",
    _lacks(_AUTH, "status"), "auth-answer-without-status")
_credulous("TunnelStatusNotMissed", "CC-BRK-005", "It doesn't miss the status in a tunnel_response.",
    _lacks(_TUNNEL, "status"), "tunnel_info-answer-without-status")
_credulous("TunnelIdNotMissed", "CC-BRK-005", "It doesn't miss the tunnel_id in a tunnel_response.",
    _lacks(_TUNNEL, "tunnel_id"), "tunnel_info-answer-without-tunnel_id")
_credulous("VersionNotMissed", "CC-BRK-005", "It doesn't miss the version in a hello_response.",
    _lacks(_HELLO, "version"), "hello-answer-without-version")
_credulous("FeaturesNotMissed", "CC-BRK-005", "It doesn't miss the features in a hello_response.",
    _lacks(_HELLO, "features"), "hello-answer-without-features")
_credulous("TypeNotMissed", "CC-BRK-005", "It doesn't miss the type of an auth_response.",
    _lacks(_AUTH, "type"), "auth-answer-without-type")
_credulous("ClientIdNumber", "CC-BRK-006", "It accepts a number as client_id.",
    _holds(_AUTH, "client_id", int), "auth-answer-client_id-number")
_credulous("TenantIdNull", "CC-BRK-006", "It accepts null as tenant_id.",
    _holds(_AUTH, "tenant_id", type(None)), "auth-answer-tenant_id-null")
_credulous("StatusTrue", "CC-BRK-006", "It takes the status true for a success.",
    _holds(_AUTH, "status", bool), "auth-answer-status-boolean")
_credulous("VersionNumber", "CC-BRK-006", "It accepts a number as the version.",
    _holds(_HELLO, "version", float), "hello-answer-version-number")
_credulous("FeaturesInOneString", "CC-BRK-006", "It accepts features in one string.",
    _holds(_HELLO, "features", str), "hello-answer-features-string")
_credulous("TunnelIdNumber", "CC-BRK-006", "It compares tunnel_ids as texts, so that the number 7 is as good as any.",
    _holds(_TUNNEL, "tunnel_id", int), "tunnel_info-answer-tunnel_id-number")
_credulous("AuthStatusPending", "CC-BRK-007", 'It takes every status but "error" for a success of its auth.',
    _status(AuthResponse, lambda status: status != "error"), "auth-status-pending")
_credulous("TunnelStatusPending", "CC-BRK-007", 'It takes every status but "error" for a success of its tunnel_info.',
    _status(TunnelResponse, lambda status: status != "error"), "tunnel_info-status-pending")
_credulous("OtherTunnelIdAccepted", "CC-BRK-008", "It doesn't compare the tunnel_id.",
    lambda _asked, _text, found: isinstance(found, TunnelResponse) and found.status == "ok", "other-tunnel-id")
_credulous("OtherTenantAccepted", "CC-AUT-003", "It doesn't look at the tenant_id of its auth_response.",
    _status(AuthResponse, lambda status: status == "ok"), "other-tenant")
_credulous("AnythingIsAHeartbeat", "CC-BRK-011", "It takes any known message for the answer to its heartbeat.",
    _typed("hello_response", _BEAT), "heartbeat-answer-wrong-type")
_credulous("AnyObjectIsAHeartbeat", "CC-BRK-011", "It takes any object for the answer to its heartbeat.",
    lambda *given: _typed("surprise", _BEAT)(*given) or _typed(None, _BEAT)(*given), "heartbeat-answer-unknown-type",
    "heartbeat-answer-without-type")
# fmt: on
