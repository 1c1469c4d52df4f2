"""The reference client: an asyncio library for the CloudBridge Relay protocol v2.0.

`connect` yields one connection, `stay_connected` a session that reconnects. The exceptions are in
`cbspec_client.errors`, the events in `cbspec_client.events`. Two modules are imported on demand: `cbspec_client.facade`
(the same session for threads) and `cbspec_client.metrics` (counters for Prometheus).
"""

from __future__ import annotations

from cbspec.tls_contexts import Trust as Trust
from cbspec_client.client import connect as connect
from cbspec_client.errors import AnswerTimeout as AnswerTimeout
from cbspec_client.errors import BufferPoolExhausted as BufferPoolExhausted
from cbspec_client.errors import CertificateNotTrusted as CertificateNotTrusted
from cbspec_client.errors import ClientError as ClientError
from cbspec_client.errors import ConnectFailed as ConnectFailed
from cbspec_client.errors import ConnectionLimitReached as ConnectionLimitReached
from cbspec_client.errors import ConnectionLost as ConnectionLost
from cbspec_client.errors import DataTransferFailed as DataTransferFailed
from cbspec_client.errors import GaveUp as GaveUp
from cbspec_client.errors import InvalidToken as InvalidToken
from cbspec_client.errors import InvalidTunnelInfo as InvalidTunnelInfo
from cbspec_client.errors import IpNotAllowed as IpNotAllowed
from cbspec_client.errors import Misuse as Misuse
from cbspec_client.errors import RateLimitExceeded as RateLimitExceeded
from cbspec_client.errors import RelayError as RelayError
from cbspec_client.errors import RelayMisbehaved as RelayMisbehaved
from cbspec_client.errors import ServerUnavailable as ServerUnavailable
from cbspec_client.errors import TenantLimitExceeded as TenantLimitExceeded
from cbspec_client.errors import TenantNotFound as TenantNotFound
from cbspec_client.errors import TlsRefused as TlsRefused
from cbspec_client.errors import TokenUnavailable as TokenUnavailable
from cbspec_client.errors import UnknownMessageType as UnknownMessageType
from cbspec_client.errors import UnknownRelayError as UnknownRelayError
from cbspec_client.events import SessionEvent as SessionEvent
from cbspec_client.keepalive import Heartbeats as Heartbeats
from cbspec_client.reconnecting import ReconnectingSession as ReconnectingSession
from cbspec_client.reconnecting import TunnelWish as TunnelWish
from cbspec_client.reconnecting import stay_connected as stay_connected
from cbspec_client.renewal import TokenProvider as TokenProvider
from cbspec_client.retrying import RetryPolicy as RetryPolicy
from cbspec_client.session import Passed as Passed
from cbspec_client.session import Transport as Transport
from cbspec_client.stages import AuthenticatedConnection as AuthenticatedConnection
from cbspec_client.stages import GreetedConnection as GreetedConnection
from cbspec_client.stages import NewConnection as NewConnection
from cbspec_client.stages import Timeouts as Timeouts
from cbspec_client.stages import Tunnel as Tunnel
