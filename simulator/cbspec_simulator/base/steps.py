"""The checks that a request passes before it is served: each step lets the request pass or refuses it.

The steps of a request are a tuple in `Behaviour`: a relay that lacks a step, has another order or counts differently is
made by replacing an element.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, TunnelInfo
from cbspec.tokens.jwt import TokenRejected
from cbspec_simulator.base.limits import Account
from cbspec_simulator.base.state import Attempt, Identity, Refused


@dataclass(frozen=True, slots=True)
class Dial:
    """Dial the remote end before the request is answered."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """Update the issuer's keys before `token` is verified."""

    token: str = field(repr=False)


IoRequest = Dial | Refresh
"""I/O that the edge performs before a request can be answered."""

Check = Callable[[Attempt], IoRequest | None]
"""Checks a request: raises `Refused`, or returns the I/O that the next check needs."""


@dataclass(frozen=True, slots=True)
class Step:
    """A named check, which applies if `when` holds (None: always)."""

    name: str
    check: Check
    when: Callable[[Attempt], bool] | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """A check that takes one unit of an account for as long as the connection lasts, or refuses if none is left.

    `holder` returns the account's holder, `limit` its number of units (None: no limit).
    """

    name: str
    holder: Callable[[Attempt], Hashable]
    limit: Callable[[Attempt], int | None]
    code: ErrorCode
    text: str
    close: bool = False

    def __call__(self, attempt: Attempt) -> None:
        """Take a unit, or refuse."""
        account = Account(self.name, self.holder(attempt))
        if not attempt.relay.usage.take(account, self.limit(attempt)):
            raise Refused(self.code, self.text, close=self.close)
        attempt.held.append(account)


def available(attempt: Attempt) -> None:
    """Refuse new work while the relay drains; close a connection without a hello."""
    if attempt.relay.draining:
        close = not attempt.connection.admitted
        raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=close)


def fresh_keys(attempt: Attempt) -> Refresh:
    """Request current keys."""
    assert isinstance(attempt.request, Auth)  # noqa: S101 - a step of auth only
    return Refresh(attempt.request.token)


def keys_change(attempt: Attempt) -> bool:
    """Return whether the issuer's keys can change."""
    return attempt.relay.keys_change


def valid_token(attempt: Attempt) -> None:
    """Refuse a token that isn't valid now."""
    assert isinstance(attempt.request, Auth)  # noqa: S101 - a step of auth only
    relay = attempt.relay
    try:
        attempt.claims = relay.verify(relay.authority, attempt.request.token, attempt.now.epoch)
    except TokenRejected as error:
        raise Refused(ErrorCode.INVALID_TOKEN, f"the token is not accepted: {error.reason}") from None


def complete_claims(attempt: Attempt) -> None:
    """Refuse a token without a subject or a tenant."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not claims.subject:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no subject")
    if not isinstance(claims.tenant_id, str) or not claims.tenant_id:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no tenant")


def known_tenant(attempt: Attempt) -> None:
    """Refuse an unknown or inactive tenant."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by a step before
    tenant = attempt.relay.tenants.get(str(claims.tenant_id))
    if tenant is None or not tenant.active:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the token's tenant is not known here or not active")
    attempt.identity = Identity(claims.subject, tenant)


def allowed_address(attempt: Attempt) -> None:
    """Refuse a client address that the tenant doesn't allow."""
    if not attempt.known.tenant.allows(attempt.connection.address):
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the tenant doesn't allow this address")


def within_rate(attempt: Attempt) -> None:
    """Refuse a request above the tenant's rate."""
    rate = attempt.known.tenant.rate
    if rate is None:
        return
    relay = attempt.relay
    if not relay.rates.allow(relay.rate_holder(attempt), rate, attempt.now.monotonic):
        raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, "requests come faster than the tenant's rate allows")


def rate_holder(attempt: Attempt) -> Hashable:
    """Return the key of the rate limiter that counts a request, by the scope of the tenant's rate."""
    identity, connection = attempt.known, attempt.connection
    tenant, rate = identity.tenant, identity.tenant.rate
    match rate.scope if rate else None:
        case "subject":
            return tenant.id, identity.subject
        case "connection":
            return tenant.id, connection.number
        case "address":
            return tenant.id, connection.address
    return tenant.id, None


def own_tenant(attempt: Attempt) -> None:
    """Refuse a tunnel for a tenant other than the connection's."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    if attempt.request.tenant_id != attempt.known.tenant.id:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the connection's token")


def dial(attempt: Attempt) -> Dial | None:
    """Request a dial of the remote end if the relay is configured for it."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    return Dial(attempt.request.remote_host, attempt.request.remote_port) if attempt.relay.dials else None


def transferable(attempt: Attempt) -> None:
    """Refuse a tunnel if the dial of its remote end failed."""
    if attempt.dialled is False:
        raise Refused(ErrorCode.DATA_TRANSFER_FAILED, "the remote end could not be reached")


def newcomer(attempt: Attempt) -> bool:
    """Return whether this is the connection's first hello."""
    return not attempt.connection.admitted


def new_tunnel(attempt: Attempt) -> bool:
    """Return whether the connection doesn't hold the tunnel_id yet: a repeated one is the same tunnel."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - of tunnel_info only
    return attempt.request.tunnel_id not in attempt.connection.tunnels


RELAY_CONNECTIONS = Quota(
    "relay-connections",
    holder=lambda attempt: None,
    limit=lambda attempt: attempt.relay.connection_limit,
    code=ErrorCode.CONNECTION_LIMIT_REACHED,
    text="the relay serves no more connections",
    close=True,
)
TENANT_CONNECTIONS = Quota(
    "tenant-connections",
    holder=lambda attempt: attempt.known.tenant.id,
    limit=lambda attempt: attempt.known.tenant.connection_limit,
    code=ErrorCode.TENANT_LIMIT_EXCEEDED,
    text="the tenant has no connection left",
)
TENANT_TUNNELS = Quota(
    "tenant-tunnels",
    holder=lambda attempt: attempt.known.tenant.id,
    limit=lambda attempt: attempt.known.tenant.tunnel_limit,
    code=ErrorCode.TENANT_LIMIT_EXCEEDED,
    text="the tenant has no tunnel left",
)
BUFFERS = Quota(
    "buffers",
    holder=lambda attempt: None,
    limit=lambda attempt: attempt.relay.buffer_pool,
    code=ErrorCode.BUFFER_POOL_EXHAUSTED,
    text="the relay has no buffer left, try later",
)

RATE = Step("rate", within_rate)
HELLO_STEPS = (
    Step("available", available, newcomer),
    Step(RELAY_CONNECTIONS.name, RELAY_CONNECTIONS, newcomer),
)
AUTH_STEPS = (
    Step("available", available),
    Step("fresh-keys", fresh_keys, keys_change),
    Step("valid-token", valid_token),
    Step("complete-claims", complete_claims),
    Step("known-tenant", known_tenant),
    Step("allowed-address", allowed_address),
    RATE,
    Step(TENANT_CONNECTIONS.name, TENANT_CONNECTIONS),
)
TUNNEL_STEPS = (
    Step("available", available),
    Step("own-tenant", own_tenant),
    Step(TENANT_TUNNELS.name, TENANT_TUNNELS, new_tunnel),
    Step(BUFFERS.name, BUFFERS, new_tunnel),
    Step("dial", dial, new_tunnel),
    Step("transferable", transferable),
)
