"""The eleven error codes: their meaning, and whether a retry makes sense.

Source: Error Codes. The specification doesn't mention retries: `retryable` and `base_delay` follow the documentation of
deployed clients, and no requirement depends on them.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class ErrorCode(StrEnum):
    """The codes of an `error`, in the order of the specification."""

    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of a code, no secret
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    CONNECTION_LIMIT_REACHED = "connection_limit_reached"
    SERVER_UNAVAILABLE = "server_unavailable"
    INVALID_TUNNEL_INFO = "invalid_tunnel_info"
    UNKNOWN_MESSAGE_TYPE = "unknown_message_type"
    TENANT_LIMIT_EXCEEDED = "tenant_limit_exceeded"
    TENANT_NOT_FOUND = "tenant_not_found"
    IP_NOT_ALLOWED = "ip_not_allowed"
    BUFFER_POOL_EXHAUSTED = "buffer_pool_exhausted"
    DATA_TRANSFER_FAILED = "data_transfer_failed"


class CodeFacts(NamedTuple):
    """The meaning of a code, and the seconds before the first retry of the same request (None: a retry is useless)."""

    meaning: str
    base_delay: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later without any other change."""
        return self.base_delay is not None


FACTS = MappingProxyType(
    {
        ErrorCode.INVALID_TOKEN: CodeFacts("the token is not valid, or no longer"),
        ErrorCode.RATE_LIMIT_EXCEEDED: CodeFacts("requests came faster than allowed", base_delay=5.0),
        ErrorCode.CONNECTION_LIMIT_REACHED: CodeFacts("the relay serves no more connections"),
        ErrorCode.SERVER_UNAVAILABLE: CodeFacts("the relay takes no new work", base_delay=10.0),
        ErrorCode.INVALID_TUNNEL_INFO: CodeFacts("the tunnel_info is not valid"),
        ErrorCode.UNKNOWN_MESSAGE_TYPE: CodeFacts("the message is of no known type"),
        ErrorCode.TENANT_LIMIT_EXCEEDED: CodeFacts("the tenant has no tunnel or connection left"),
        ErrorCode.TENANT_NOT_FOUND: CodeFacts("the tenant is unknown or not authorised"),
        ErrorCode.IP_NOT_ALLOWED: CodeFacts("the tenant doesn't allow this address"),
        ErrorCode.BUFFER_POOL_EXHAUSTED: CodeFacts("the relay has no buffer left"),
        ErrorCode.DATA_TRANSFER_FAILED: CodeFacts("data can't be transferred", base_delay=1.0),
    }
)
