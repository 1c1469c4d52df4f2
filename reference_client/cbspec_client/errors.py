"""Everything that a session can end with, besides success.

    ClientError
    ├── Misuse                        the call was wrong; nothing was sent
    ├── ConnectFailed                 no connection came about: refused, unknown host, time-out
    │   └── TlsRefused                no TLS 1.3 session came about; no token was sent
    │       └── CertificateNotTrusted     because nobody trusted vouches for the relay's certificate
    ├── ConnectionLost                the connection ended, or was given up after a cancelled request
    ├── AnswerTimeout                 the relay didn't answer in time
    ├── RelayMisbehaved               the relay broke the protocol; names the requirement
    └── RelayError                    the relay refused: code, message, retryable, base_delay
        ├── InvalidToken              invalid_token
        ├── RateLimitExceeded         rate_limit_exceeded
        ├── ConnectionLimitReached    connection_limit_reached
        ├── ServerUnavailable         server_unavailable
        ├── InvalidTunnelInfo         invalid_tunnel_info
        ├── UnknownMessageType        unknown_message_type
        ├── TenantLimitExceeded       tenant_limit_exceeded
        ├── TenantNotFound            tenant_not_found
        ├── IpNotAllowed              ip_not_allowed
        ├── BufferPoolExhausted       buffer_pool_exhausted
        ├── DataTransferFailed        data_transfer_failed
        └── UnknownRelayError         a code that isn't one of the eleven

After a RelayError the connection goes on; after any other that came from a request it has ended.
"""

from __future__ import annotations

from types import MappingProxyType

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import Error


class ClientError(Exception):
    """The root of them all."""


class Misuse(ClientError):
    """The call asked for what can't be, or not now; nothing was sent."""


class ConnectFailed(ClientError):
    """No connection to a relay came about."""


class TlsRefused(ConnectFailed):
    """No TLS 1.3 session came about; nothing but the handshake was sent."""


class CertificateNotTrusted(TlsRefused):
    """The relay's certificate is for another name, out of its time, or nobody trusted vouches for it."""


class ConnectionLost(ClientError):
    """The connection has ended."""


class AnswerTimeout(ClientError):
    """The relay didn't answer in time; the connection was given up, since a late answer would be taken for another."""


class RelayMisbehaved(ClientError):
    """The relay broke the protocol; `requirement` is the catalogue's id. The connection was given up."""

    def __init__(self, text: str, requirement: str) -> None:
        super().__init__(f"{text} ({requirement})")
        self.requirement = requirement


class RelayError(ClientError):
    """The relay refused.

    `code` and `message` are the relay's, `retryable` says whether the same request may succeed later without anything
    else changing, `base_delay` is the first pause before trying again, in seconds (None: don't).
    Source: Message Types / 5. Error; Error Codes.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, base_delay: float | None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.base_delay = base_delay


class InvalidToken(RelayError):
    """The token is not valid, or no longer."""


class RateLimitExceeded(RelayError):
    """Requests came faster than allowed."""


class ConnectionLimitReached(RelayError):
    """The relay serves no more connections."""


class ServerUnavailable(RelayError):
    """The relay takes no new work."""


class InvalidTunnelInfo(RelayError):
    """The tunnel_info is not valid."""


class UnknownMessageType(RelayError):
    """The relay knows no such message."""


class TenantLimitExceeded(RelayError):
    """The tenant has no tunnel or connection left."""


class TenantNotFound(RelayError):
    """The tenant is unknown or not authorised."""


class IpNotAllowed(RelayError):
    """The tenant doesn't allow this address."""


class BufferPoolExhausted(RelayError):
    """The relay has no buffer left."""


class DataTransferFailed(RelayError):
    """Data can't be transferred."""


class UnknownRelayError(RelayError):
    """The relay refused with a code that isn't one of the eleven."""


BY_CODE = MappingProxyType(
    {
        ErrorCode.INVALID_TOKEN: InvalidToken,
        ErrorCode.RATE_LIMIT_EXCEEDED: RateLimitExceeded,
        ErrorCode.CONNECTION_LIMIT_REACHED: ConnectionLimitReached,
        ErrorCode.SERVER_UNAVAILABLE: ServerUnavailable,
        ErrorCode.INVALID_TUNNEL_INFO: InvalidTunnelInfo,
        ErrorCode.UNKNOWN_MESSAGE_TYPE: UnknownMessageType,
        ErrorCode.TENANT_LIMIT_EXCEEDED: TenantLimitExceeded,
        ErrorCode.TENANT_NOT_FOUND: TenantNotFound,
        ErrorCode.IP_NOT_ALLOWED: IpNotAllowed,
        ErrorCode.BUFFER_POOL_EXHAUSTED: BufferPoolExhausted,
        ErrorCode.DATA_TRANSFER_FAILED: DataTransferFailed,
    }
)


def refusal(error: Error) -> RelayError:
    """Return the exception that stands for an `error` of the relay's."""
    try:
        code = ErrorCode(error.code)
    except ValueError:
        return UnknownRelayError(error.code, error.message, retryable=False, base_delay=None)
    facts = FACTS[code]
    return BY_CODE[code](code.value, error.message, retryable=facts.retryable, base_delay=facts.base_delay)
