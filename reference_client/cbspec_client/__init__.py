"""The reference client: an asyncio library for the CloudBridge Relay protocol v2.0.

`connect` yields a `Client`; the exceptions are in `cbspec_client.errors`.
"""

from __future__ import annotations

from cbspec.tls_contexts import Trust
from cbspec_client.client import Client, Timeouts, Tunnel, connect
from cbspec_client.errors import (
    AnswerTimeout,
    BufferPoolExhausted,
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionLimitReached,
    ConnectionLost,
    DataTransferFailed,
    InvalidToken,
    InvalidTunnelInfo,
    IpNotAllowed,
    Misuse,
    RateLimitExceeded,
    RelayError,
    RelayMisbehaved,
    ServerUnavailable,
    TenantLimitExceeded,
    TenantNotFound,
    TlsRefused,
    UnknownMessageType,
    UnknownRelayError,
)
from cbspec_client.session import Passed, Transport

__all__ = [
    "AnswerTimeout",
    "BufferPoolExhausted",
    "CertificateNotTrusted",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionLimitReached",
    "ConnectionLost",
    "DataTransferFailed",
    "InvalidToken",
    "InvalidTunnelInfo",
    "IpNotAllowed",
    "Misuse",
    "Passed",
    "RateLimitExceeded",
    "RelayError",
    "RelayMisbehaved",
    "ServerUnavailable",
    "TenantLimitExceeded",
    "TenantNotFound",
    "Timeouts",
    "TlsRefused",
    "Transport",
    "Trust",
    "Tunnel",
    "UnknownMessageType",
    "UnknownRelayError",
    "connect",
]
