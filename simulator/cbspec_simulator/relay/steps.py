"""The checks that a request passes before it is served, each one step: it lets the request go on or refuses it.

The steps of a request are a tuple in `Behaviour`, so that a relay which lacks one, has them in another order, or counts
on another account is made by replacing an element, not by a branch in the relay.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Request, TunnelInfo
from cbspec.tokens.jwt import Claims, InvalidToken
from cbspec_simulator.base.limits import Account

if TYPE_CHECKING:
    from cbspec_simulator.relay.relay import Relay
    from cbspec_simulator.relay.session import Session

Address = IPv4Address | IPv6Address


class Moment(NamedTuple):
    """One instant on two clocks, in seconds: one that never goes back, and the time since the epoch."""

    monotonic: float
    epoch: float


class Refused(Exception):
    """A request is not served: `code` and `text` are the error's, `close` ends the connection behind it."""

    def __init__(self, code: ErrorCode, text: str, *, close: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.close = close


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection acts for."""

    subject: str
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Dial:
    """The remote end is to be tried before the request can be answered."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """The issuer's keys are to be brought up to date for a token before it can be judged."""

    token: str = field(repr=False)


Errand = Dial | Refresh
"""What is to be done outside before a request can be answered."""


@dataclass(slots=True)
class Attempt:
    """A request on its way through the steps, and what they found out.

    `request` is None where it wasn't valid. `held` is what they took from the ledger: it goes to the session when the
    request succeeds, and back otherwise.
    """

    session: Session
    request: Request | None
    now: Moment
    identity: Identity | None = None
    claims: Claims | None = None
    dialled: bool | None = None
    held: list[Account] = field(default_factory=list)

    @property
    def relay(self) -> Relay:
        """The relay that was asked."""
        return self.session.relay

    @property
    def known(self) -> Identity:
        """Who asks; refused where nobody has said so yet."""
        if self.identity is None:
            raise Refused(ErrorCode.INVALID_TOKEN, "authenticate first")
        return self.identity


Check = Callable[[Attempt], Errand | None]
"""Looks at a request: raises `Refused`, or returns what is to be done before the next check."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A check that takes one from an account for as long as the connection lasts, and refuses where none is left.

    `holder` says whose account it is, `limit` how many it has (None: any number).
    """

    name: str
    holder: Callable[[Attempt], Hashable]
    limit: Callable[[Attempt], int | None]
    code: ErrorCode
    text: str
    close: bool = False

    def __call__(self, attempt: Attempt) -> None:
        """Take one, or refuse."""
        account = Account(self.name, self.holder(attempt))
        if not attempt.session.relay.ledger.take(account, self.limit(attempt)):
            raise Refused(self.code, self.text, close=self.close)
        attempt.held.append(account)


def available(attempt: Attempt) -> None:
    """Refuse new work while the relay drains; a connection that isn't greeted yet is closed."""
    if attempt.relay.draining:
        close = not attempt.session.admitted
        raise Refused(ErrorCode.SERVER_UNAVAILABLE, "the relay takes no new work", close=close)


def fresh_keys(attempt: Attempt) -> Refresh:
    """Ask for keys that are up to date."""
    assert isinstance(attempt.request, Auth)  # noqa: S101 - a step of auth only
    return Refresh(attempt.request.token)


def keys_change(attempt: Attempt) -> bool:
    """Say whether the keys of tokens can change."""
    return attempt.relay.keyring is not None


def valid_token(attempt: Attempt) -> None:
    """Refuse a token that isn't good now."""
    assert isinstance(attempt.request, Auth)  # noqa: S101 - a step of auth only
    relay = attempt.relay
    try:
        attempt.claims = relay.behaviour.verify(relay.authority, attempt.request.token, attempt.now.epoch)
    except InvalidToken as error:
        raise Refused(ErrorCode.INVALID_TOKEN, f"the token is not accepted: {error.reason}") from None


def complete_claims(attempt: Attempt) -> None:
    """Refuse a token that doesn't name whom it is for, or for which tenant."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not claims.subject:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no subject")
    if not isinstance(claims.tenant_id, str) or not claims.tenant_id:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no tenant")


def known_tenant(attempt: Attempt) -> None:
    """Refuse a tenant that isn't known or isn't active."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by a step before
    tenant = attempt.relay.tenants.get(str(claims.tenant_id))
    if tenant is None or not tenant.active:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the token's tenant is not known here or not active")
    attempt.identity = Identity(claims.subject, tenant)


def allowed_address(attempt: Attempt) -> None:
    """Refuse a client that comes from an address which its tenant doesn't allow."""
    if not attempt.known.tenant.allows(attempt.session.address):
        raise Refused(ErrorCode.IP_NOT_ALLOWED, "the tenant doesn't allow this address")


def within_rate(attempt: Attempt) -> None:
    """Refuse a request that comes faster than the tenant's rate allows."""
    identity = attempt.known
    rate = identity.tenant.rate
    if rate is None:
        return
    relay = attempt.session.relay
    holder = relay.behaviour.rate_holder(attempt)
    if not relay.meters.allow(holder, rate, attempt.now.monotonic):
        raise Refused(ErrorCode.RATE_LIMIT_EXCEEDED, "requests come faster than the tenant's rate allows")


def rate_holder(attempt: Attempt) -> Hashable:
    """Return whose meter counts a request, by the scope of the tenant's rate."""
    identity, session = attempt.known, attempt.session
    tenant, rate = identity.tenant, identity.tenant.rate
    match rate.scope if rate else None:
        case "subject":
            return tenant.id, identity.subject
        case "connection":
            return tenant.id, session.number
        case "address":
            return tenant.id, session.address
    return tenant.id, None


def own_tenant(attempt: Attempt) -> None:
    """Refuse a tunnel for another tenant than the connection's."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    if attempt.request.tenant_id != attempt.known.tenant.id:
        raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the connection's token")


def dial(attempt: Attempt) -> Dial | None:
    """Ask for the remote end to be tried, where the relay is configured to."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
    if not attempt.relay.config.relay.probe:
        return None
    return Dial(attempt.request.remote_host, attempt.request.remote_port)


def transferable(attempt: Attempt) -> None:
    """Refuse a tunnel whose remote end was tried in vain."""
    if attempt.dialled is False:
        raise Refused(ErrorCode.DATA_TRANSFER_FAILED, "the remote end could not be reached")


def newcomer(attempt: Attempt) -> bool:
    """Say whether this is the connection's first hello."""
    return not attempt.session.admitted


def new_tunnel(attempt: Attempt) -> bool:
    """Say whether the connection doesn't hold the tunnel_id yet: a repeated one is the same tunnel."""
    assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - of tunnel_info only
    return attempt.request.tunnel_id not in attempt.session.tunnels


@dataclass(frozen=True, slots=True)
class Step:
    """A named check, made where `when` says that it applies (None: always)."""

    name: str
    check: Check
    when: Callable[[Attempt], bool] | None = None


RELAY_CONNECTIONS = Quota(
    "relay-connections",
    holder=lambda attempt: None,
    limit=lambda attempt: attempt.relay.config.relay.connection_limit,
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
    limit=lambda attempt: attempt.relay.config.relay.buffer_pool,
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
