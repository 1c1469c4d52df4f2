"""The client's exceptions.

    ClientError
    ├── Misuse                        the call was wrong; nothing was sent
    ├── ConnectFailed                 no connection: refused, unknown host, time-out
    │   └── TlsRefused                no TLS 1.3 session; no token was sent
    │       └── CertificateNotTrusted     the relay's certificate is not trusted
    ├── ConnectionLost                the connection ended, also by a cancelled request
    ├── AnswerTimeout                 the relay didn't answer in time
    ├── RelayMisbehaved               the relay broke the protocol; names the requirement
    └── RelayError                    the relay refused: code, message, retryable, base_delay
        ├── InvalidToken, ...         one class for each code, with its name: invalid_token
        └── UnknownRelayError         a code that isn't one of the eleven

After a RelayError the connection is still usable; any other error of a request has ended it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import Error


class ClientError(Exception):
    """The base class; `kind` describes the class, for statistics."""

    kind: ClassVar[str] = "client error"


class Misuse(ClientError):
    """The call was invalid, or not allowed in this state; nothing was sent."""


class ConnectFailed(ClientError):
    """No connection to a relay was established."""

    kind = "no connection"


class TlsRefused(ConnectFailed):
    """No TLS 1.3 session was established; only the handshake was sent."""

    kind = "no TLS session"


class CertificateNotTrusted(TlsRefused):
    """The relay's certificate has another name, is expired or not yet valid, or is not issued by a trusted CA."""

    kind = "certificate not trusted"


class ConnectionLost(ClientError):
    """The connection has ended."""

    kind = "connection lost"


class AnswerTimeout(ClientError):
    """The relay didn't answer in time; the connection was closed, since a late answer could be mistaken for another."""

    kind = "no answer in time"


class RelayMisbehaved(ClientError):
    """The relay broke the protocol; `requirement` is the catalogue's id. The connection was closed."""

    def __init__(self, text: str, requirement: str) -> None:
        super().__init__(f"{text} ({requirement})")
        self.requirement = requirement


class RelayError(ClientError):
    """The relay answered with an error.

    `retryable`: the same request may succeed later. `base_delay`: the first pause before a retry, in seconds, or None.
    Source: Message Types / 5. Error; Error Codes.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, base_delay: float | None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.base_delay = base_delay


class InvalidToken(RelayError):
    """The token is invalid or expired."""


class RateLimitExceeded(RelayError):
    """Requests exceeded the rate limit."""


class ConnectionLimitReached(RelayError):
    """The relay accepts no more connections."""


class ServerUnavailable(RelayError):
    """The relay accepts no new work."""


class InvalidTunnelInfo(RelayError):
    """The tunnel_info is not valid."""


class UnknownMessageType(RelayError):
    """The relay doesn't know this message type."""


class TenantLimitExceeded(RelayError):
    """The tenant's limit of tunnels or connections is reached."""


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


_CLASSES = {each.__name__: each for each in RelayError.__subclasses__()}
BY_CODE = MappingProxyType({code: _CLASSES[code.title().replace("_", "")] for code in ErrorCode})


def refusal(error: Error) -> RelayError:
    """Return the exception for an error message."""
    try:
        code = ErrorCode(error.code)
    except ValueError:
        return UnknownRelayError(error.code, error.message, retryable=False, base_delay=None)
    facts = FACTS[code]
    return BY_CODE[code](code.value, error.message, retryable=facts.retryable, base_delay=facts.base_delay)
