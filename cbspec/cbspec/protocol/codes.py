"""The eleven error codes: what each means and whether trying again makes sense.

Source: Error Codes. The specification says nothing about retrying; `retryable` and `base_delay` follow what deployed
clients document, and nothing here is ever demanded of an implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class ErrorCode(StrEnum):
    """The codes that an `error` may carry, in the order of the specification."""

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


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What is known of a code.

    `meaning` is a sentence for people, `retryable` says whether the same request may succeed later without anything
    else changing, `base_delay` is the first pause before trying again, in seconds (None: don't).
    """

    meaning: str
    retryable: bool
    base_delay: float | None = None


FACTS = MappingProxyType(
    {
        ErrorCode.INVALID_TOKEN: CodeFacts("the token is not valid, or no longer", retryable=False),
        ErrorCode.RATE_LIMIT_EXCEEDED: CodeFacts("requests came faster than allowed", retryable=True, base_delay=5.0),
        ErrorCode.CONNECTION_LIMIT_REACHED: CodeFacts("the relay serves no more connections", retryable=False),
        ErrorCode.SERVER_UNAVAILABLE: CodeFacts("the relay takes no new work", retryable=True, base_delay=10.0),
        ErrorCode.INVALID_TUNNEL_INFO: CodeFacts("the tunnel_info is not valid", retryable=False),
        ErrorCode.UNKNOWN_MESSAGE_TYPE: CodeFacts("the message is of no type known here", retryable=False),
        ErrorCode.TENANT_LIMIT_EXCEEDED: CodeFacts("the tenant has no tunnel or connection left", retryable=False),
        ErrorCode.TENANT_NOT_FOUND: CodeFacts("the tenant is unknown or not authorised", retryable=False),
        ErrorCode.IP_NOT_ALLOWED: CodeFacts("the tenant doesn't allow this address", retryable=False),
        ErrorCode.BUFFER_POOL_EXHAUSTED: CodeFacts("the relay has no buffer left", retryable=False),
        ErrorCode.DATA_TRANSFER_FAILED: CodeFacts("data can't be transferred", retryable=True, base_delay=1.0),
    }
)
