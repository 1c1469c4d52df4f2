"""The client's exceptions.

    ClientError
    ├── Misuse                        the call was wrong; nothing was sent
    ├── ConnectFailed                 no connection: refused, unknown host, time-out
    │   └── TlsRefused                no TLS 1.3 session; no token was sent
    │       └── CertificateNotTrusted     the relay's certificate is not trusted
    ├── ConnectionLost                the connection ended
    ├── AnswerTimeout                 the relay didn't answer in time
    ├── TokenUnavailable              the token provider failed
    ├── RelayMisbehaved               the relay broke the protocol; names the requirement
    ├── RelayError                    the relay refused: code, message, retryable, base_delay
    │   ├── InvalidToken, ...         one class for each code, with its name: invalid_token
    │   └── UnknownRelayError         a code that isn't one of the eleven
    └── GaveUp                        the last permitted retry failed; names the last cause

After a RelayError the connection is still usable; any other error of a request has ended it. `retryable` says whether
the same attempt may succeed later without any other change: `retrying.py` retries nothing else.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from cbspec.protocol.codes import FACTS, ErrorCode
from cbspec.protocol.messages import Error


class ClientError(Exception):
    """The base class; `kind` describes the class, for statistics.

    `base_delay`: the first pause before a retry, in seconds, or None if a retry is useless (`retryable` is False).
    """

    kind: ClassVar[str] = "client error"
    base_delay: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed later."""
        return self.base_delay is not None


class Misuse(ClientError):
    """The call was invalid, or not allowed in this state; nothing was sent."""


class ConnectFailed(ClientError):
    """No connection to a relay was established; `lasting` tells failures that a retry can't change."""

    kind = "no connection"
    base_delay: float | None = 3.0

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        if lasting:
            self.base_delay = None


class TlsRefused(ConnectFailed):
    """No TLS 1.3 session was established; only the handshake was sent.

    An alert is lasting; a connection that was closed during the handshake is not, since a starting relay may do that.
    """

    kind = "no TLS session"

    def __init__(self, text: str, *, lasting: bool = True) -> None:
        super().__init__(text, lasting=lasting)


class CertificateNotTrusted(TlsRefused):
    """The relay's certificate has another name, is expired or not yet valid, or is not issued by a trusted CA."""

    kind = "certificate not trusted"


class ConnectionLost(ClientError):
    """The connection has ended."""

    kind = "connection lost"
    base_delay = 2.0


class AnswerTimeout(ClientError):
    """The relay didn't answer in time; the connection was closed, since a late answer could be mistaken for another."""

    kind = "no answer in time"
    base_delay = 2.0


class TokenUnavailable(ClientError):
    """The token provider raised an error, which is the cause of this one."""

    kind = "no token"
    base_delay = 3.0


class GaveUp(ClientError):
    """The last permitted retry failed; `cause` is its error, `attempts` the number of attempts."""

    kind = "gave up"

    def __init__(self, cause: ClientError, attempts: int) -> None:
        super().__init__(f"gave up after {attempts} attempts: {cause}")
        self.cause = cause
        self.attempts = attempts


class RelayMisbehaved(ClientError):
    """The relay broke the protocol; `requirement` is the catalogue's id. The connection was closed."""

    def __init__(self, text: str, requirement: str) -> None:
        super().__init__(f"{text} ({requirement})")
        self.requirement = requirement


class RelayError(ClientError):
    """The relay answered with an error.

    Source: Message Types / 5. Error; Error Codes.
    """

    def __init__(self, code: str, message: str, *, base_delay: float | None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
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
        return UnknownRelayError(error.code, error.message, base_delay=None)
    return BY_CODE[code](code.value, error.message, base_delay=FACTS[code].base_delay)
