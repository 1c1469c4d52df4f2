"""Deviations: what is no success, or no answer at all, is taken for one (CC-REF, CC-BRK, CC-AUT-003)."""

from __future__ import annotations

import json
from typing import Any

from cbspec.protocol.messages import (
    AuthResponse,
    Error,
    Heartbeat,
    HelloResponse,
    Message,
    Request,
    TunnelInfo,
    TunnelResponse,
    Violation,
)
from cbspec_client.errors import ConnectionLost
from tests.adequacy.clients.base import BaseClient
from tests.adequacy.clients.registry import deviation


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


class _Believer(BaseClient):
    """Takes an answer for a success if `believes` says so."""

    def understood(self, text: bytes, found: Message | Violation) -> Message | Violation:
        asked = self.session.asked
        read = super().understood(text, found)
        return self.success() if asked is not None and self.believes(asked, text, read) else read

    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return False

    def about(self, asked: Request, *types: str) -> bool:
        return asked.type in types


# ------------------------------------------------------------------------------------------------ errors
@deviation(
    "CC-REF-001",
    "It takes any error in answer to its hello for a success.",
    "hello-server_unavailable",
    "hello-invalid_token",
)
class _ErrorsAfterHelloIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and isinstance(found, Error) and found.code != "maintenance_window"


@deviation(
    "CC-REF-001", "After ip_not_allowed in answer to its hello it authenticates nevertheless.", "hello-ip_not_allowed"
)
class _AddressRefusedAtHelloIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and isinstance(found, Error) and found.code == "ip_not_allowed"


@deviation(
    "CC-REF-001",
    "After rate_limit_exceeded in answer to its hello it authenticates nevertheless.",
    "hello-rate_limit_exceeded",
)
class _RateLimitAtHelloIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and isinstance(found, Error) and found.code == "rate_limit_exceeded"


@deviation(
    "CC-REF-002",
    "It takes any error in answer to its auth for a success.",
    "auth-invalid_token",
    "auth-server_unavailable",
)
class _ErrorsAfterAuthIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "auth" and isinstance(found, Error) and found.code != "maintenance_window"


@deviation(
    "CC-REF-002",
    "After tenant_not_found in answer to its auth it opens its tunnel nevertheless.",
    "auth-tenant_not_found",
)
class _TenantNotFoundIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "auth" and isinstance(found, Error) and found.code == "tenant_not_found"


@deviation(
    "CC-REF-002", "After connection_limit_reached in answer to its auth it goes on.", "auth-connection_limit_reached"
)
class _ConnectionLimitIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "auth" and isinstance(found, Error) and found.code == "connection_limit_reached"


@deviation(
    "CC-REF-003",
    "It takes any error in answer to its tunnel_info for a success.",
    "tunnel_info-tenant_limit_exceeded",
    "tunnel_info-invalid_tunnel_info",
)
class _ErrorsAfterTunnelIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "tunnel_info" and isinstance(found, Error) and found.code != "maintenance_window"


@deviation(
    "CC-REF-003",
    "It takes buffer_pool_exhausted for a success: only the data will show it.",
    "tunnel_info-buffer_pool_exhausted",
)
class _BufferPoolIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "tunnel_info" and isinstance(found, Error) and found.code == "buffer_pool_exhausted"


@deviation(
    "CC-REF-004",
    "It takes any error in answer to a heartbeat for an answer.",
    "heartbeat-rate_limit_exceeded",
    "heartbeat-invalid_token",
)
class _ErrorsAfterHeartbeatIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "heartbeat" and isinstance(found, Error) and found.code != "maintenance_window"


@deviation(
    "CC-REF-004", "It takes server_unavailable in answer to a heartbeat for an answer.", "heartbeat-server_unavailable"
)
class _UnavailableAfterHeartbeatIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "heartbeat" and isinstance(found, Error) and found.code == "server_unavailable"


@deviation("CC-REF-007", 'It takes an auth_response with the status "error" for a success.', "auth-status-error")
class _AuthStatusErrorIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, AuthResponse) and found.status == "error"


@deviation(
    "CC-REF-007", 'It takes a tunnel_response with the status "error" for a success.', "tunnel_info-status-error"
)
class _TunnelStatusErrorIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, TunnelResponse) and found.status == "error"


@deviation("CC-REF-008", "It ignores a code that it doesn't know in answer to its hello.", "hello-unknown-code")
class _UnknownCodeAtHelloIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and isinstance(found, Error) and found.code == "maintenance_window"


@deviation("CC-REF-008", "It ignores a code that it doesn't know in answer to its auth.", "auth-unknown-code")
class _UnknownCodeAtAuthIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "auth" and isinstance(found, Error) and found.code == "maintenance_window"


@deviation(
    "CC-REF-008", "It ignores a code that it doesn't know in answer to its tunnel_info.", "tunnel_info-unknown-code"
)
class _UnknownCodeAtTunnelIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "tunnel_info" and isinstance(found, Error) and found.code == "maintenance_window"


@deviation(
    "CC-REF-008", "It ignores a code that it doesn't know in answer to its heartbeats.", "heartbeat-unknown-code"
)
class _UnknownCodeAtHeartbeatIgnored(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "heartbeat" and isinstance(found, Error) and found.code == "maintenance_window"


# ---------------------------------------------------------------------------------------- broken answers
class _Utf8Believer(_Believer):
    """Replaces bytes that aren't UTF-8."""

    def lenient(self, text: bytes) -> dict[str, Any]:
        try:
            text.decode()
        except UnicodeDecodeError:
            return _object(text.decode(errors="replace").encode())
        return {}


@deviation(
    "CC-BRK-001",
    "It replaces bytes that aren't UTF-8, as many libraries do.",
    "auth-answer-not-utf-8",
    "hello-answer-not-utf-8",
)
class _InvalidUtf8Replaced(_Utf8Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, Violation) and "type" in self.lenient(text)


@deviation("CC-BRK-001", "It reads tunnel_responses as Latin-1.", "tunnel_info-answer-not-utf-8")
class _TunnelAnswerInLatin1(_Utf8Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "tunnel_info" and isinstance(found, Violation) and "type" in self.lenient(text)


@deviation("CC-BRK-001", "It reads heartbeat_responses as Latin-1.", "heartbeat-answer-not-utf-8")
class _HeartbeatAnswerInLatin1(_Utf8Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "heartbeat" and isinstance(found, Violation) and "type" in self.lenient(text)


@deviation(
    "CC-BRK-002",
    "It reads answers with a lenient parser, which accepts single quotes.",
    "auth-answer-not-json",
    "hello-answer-not-json",
)
class _SingleQuotesAccepted(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, Violation) and text.startswith(b"{'")


@deviation("CC-BRK-002", "It takes any line for the answer to its hello.", "hello-answer-words")
class _AnyLineIsHello(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and isinstance(found, Violation) and not text.startswith(b"{")


@deviation("CC-BRK-002", "It takes any line for the answer to its tunnel_info.", "tunnel_info-answer-words")
class _AnyLineIsTunnel(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "tunnel_info" and isinstance(found, Violation) and not text.startswith(b"{")


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


@deviation("CC-BRK-004", "It takes a heartbeat_response for the answer to its auth.", "auth-answer-wrong-type")
class _OtherTypeAfterAuth(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "auth" and _object(text).get("type") == "heartbeat_response"


@deviation("CC-BRK-004", "It takes a heartbeat_response for the answer to its hello.", "hello-answer-wrong-type")
class _OtherTypeAfterHello(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type == "hello" and _object(text).get("type") == "heartbeat_response"


@deviation(
    "CC-BRK-004",
    "It doesn't look at the type of an answer whose type it doesn't know.",
    "auth-answer-unknown-type",
    "tunnel_info-answer-unknown-type",
)
class _UnknownTypesAccepted(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return asked.type != "heartbeat" and _object(text).get("type") == "surprise"


def _lacks(asked: Request, text: bytes, step: str, member: str) -> bool:
    read = _object(text)
    return asked.type == step and bool(read) and member not in read and read.get("type") != "error"


@deviation("CC-BRK-005", "It doesn't miss the client_id in an auth_response.", "auth-answer-without-client_id")
class _ClientIdNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "auth", "client_id")


@deviation("CC-BRK-005", "It doesn't miss the tenant_id in an auth_response.", "auth-answer-without-tenant_id")
class _TenantIdNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "auth", "tenant_id")


@deviation("CC-BRK-005", "It doesn't miss the status in an auth_response.", "auth-answer-without-status")
class _AuthStatusNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "auth", "status")


@deviation("CC-BRK-005", "It doesn't miss the status in a tunnel_response.", "tunnel_info-answer-without-status")
class _TunnelStatusNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "tunnel_info", "status")


@deviation("CC-BRK-005", "It doesn't miss the tunnel_id in a tunnel_response.", "tunnel_info-answer-without-tunnel_id")
class _TunnelIdNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "tunnel_info", "tunnel_id")


@deviation("CC-BRK-005", "It doesn't miss the version in a hello_response.", "hello-answer-without-version")
class _VersionNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "hello", "version")


@deviation("CC-BRK-005", "It doesn't miss the features in a hello_response.", "hello-answer-without-features")
class _FeaturesNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "hello", "features")


@deviation("CC-BRK-005", "It doesn't miss the type of an auth_response.", "auth-answer-without-type")
class _TypeNotMissed(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _lacks(asked, text, "auth", "type") and "status" in _object(text)


def _has(asked: Request, text: bytes, step: str, member: str, *types: type) -> bool:
    return asked.type == step and isinstance(_object(text).get(member, ""), types)


@deviation("CC-BRK-006", "It accepts a number as client_id.", "auth-answer-client_id-number")
class _ClientIdNumber(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _has(asked, text, "auth", "client_id", int)


@deviation("CC-BRK-006", "It accepts null as tenant_id.", "auth-answer-tenant_id-null")
class _TenantIdNull(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _has(asked, text, "auth", "tenant_id", type(None))


@deviation("CC-BRK-006", "It takes the status true for a success.", "auth-answer-status-boolean")
class _StatusTrue(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _has(asked, text, "auth", "status", bool)


@deviation("CC-BRK-006", "It accepts a number as the version.", "hello-answer-version-number")
class _VersionNumber(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _has(asked, text, "hello", "version", float)


@deviation("CC-BRK-006", "It accepts features in one string.", "hello-answer-features-string")
class _FeaturesInOneString(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return (
            asked.type == "hello"
            and bool(_object(text).get("version"))
            and isinstance(_object(text).get("features"), str)
        )


@deviation(
    "CC-BRK-006",
    "It compares tunnel_ids as texts, so that the number 7 is as good as any.",
    "tunnel_info-answer-tunnel_id-number",
)
class _TunnelIdNumber(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return _has(asked, text, "tunnel_info", "tunnel_id", int)


@deviation("CC-BRK-007", 'It takes every status but "error" for a success of its auth.', "auth-status-pending")
class _AuthStatusPending(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, AuthResponse) and found.status != "error"


@deviation(
    "CC-BRK-007", 'It takes every status but "error" for a success of its tunnel_info.', "tunnel_info-status-pending"
)
class _TunnelStatusPending(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, TunnelResponse) and found.status != "error" and self._same(asked, found)

    def _same(self, asked: Request, found: TunnelResponse) -> bool:
        return isinstance(asked, TunnelInfo) and found.tunnel_id == asked.tunnel_id


@deviation("CC-BRK-008", "It doesn't compare the tunnel_id.", "other-tunnel-id")
class _OtherTunnelIdAccepted(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, TunnelResponse) and found.status == "ok"


@deviation("CC-AUT-003", "It doesn't look at the tenant_id of its auth_response.", "other-tenant")
class _OtherTenantAccepted(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(found, AuthResponse) and found.status == "ok"


@deviation("CC-BRK-011", "It takes any known message for the answer to its heartbeat.", "heartbeat-answer-wrong-type")
class _AnythingIsAHeartbeat(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        return isinstance(asked, Heartbeat) and (isinstance(found, HelloResponse) or self._hello(text))

    def _hello(self, text: bytes) -> bool:
        return _object(text).get("type") == "hello_response"


@deviation(
    "CC-BRK-011",
    "It takes any object for the answer to its heartbeat.",
    "heartbeat-answer-unknown-type",
    "heartbeat-answer-without-type",
)
class _AnyObjectIsAHeartbeat(_Believer):
    def believes(self, asked: Request, text: bytes, found: Message | Violation) -> bool:
        read = _object(text)
        return (
            isinstance(asked, Heartbeat)
            and bool(read or text.strip() == b"{}")
            and read.get("type") in (None, "surprise")
        )
