"""Source: Message Types: members of a request that the page doesn't give it, which a careless relay could believe.

A relay may ignore such members or refuse the request. They must not change the tenant, the identity, a limit or the
outcome. Each case first checks that the relay refuses the same request without them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.probe.session import HELLO, ProbeSession
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.quoting import quoted
from cbspec_conformance.relay.error_codes.refusals import fill_tunnels, limit_holds, limited_tenant
from cbspec_conformance.relay.requests import UNKNOWN, takes_auth, with_tunnel
from cbspec_conformance.runner.marks import limits, requirement
from cbspec_conformance.target.kinds import each, in_turn
from cbspec_conformance.target.relay import RelayUnderTest

_SOMEONE = "cbspec-someone-else"
_RIGHTS = {"role": "admin", "roles": ["admin"], "admin": True, "is_admin": True, "scope": "admin", "permissions": ["*"]}
_OUTCOME = {"status": "ok", "authenticated": True, "valid": True, "verified": True, "success": True, "error": None}
_MORE = {"tunnel_limit": 1000, "connection_limit": 1000, "limit": 1000, "limits": {"tunnels": 1000}, "unlimited": True}
_TENANTS = ("tenant", "tenantId", "tenantID", "tenant_name")
_FORCE = {"force": True, "debug": True, "test": True, "internal": True, "skip_validation": True, "priority": 100}

Members = Mapping[str, Any]


def _groups(tenant: str) -> dict[str, Members]:
    """Return members that claim something, by the claim; `tenant` is the tenant that they name."""
    named = {"tenant_id": tenant, "sub": _SOMEONE, "client_id": _SOMEONE}
    return {
        "tenant": {"tenant_id": tenant, **dict.fromkeys(_TENANTS, tenant)},
        "identity": dict.fromkeys(("client_id", "clientId", "sub", "subject", "user", "user_id", "username"), _SOMEONE),
        "claims": {"claims": {**named, **_RIGHTS}, **dict.fromkeys(("payload", "identity", "auth", "data"), named)},
        "objects": {**dict.fromkeys(("user", "client", "params", "metadata"), named), "tenant": {"id": tenant}},
        "rights": _RIGHTS,
        "outcome": _OUTCOME,
        "limits": _MORE,
        "switches": _FORCE,
    }


def _other(relay: RelayUnderTest) -> str:
    second = relay.profile.second_tenant
    return second.id if second is not None else f"{relay.tenant.id}-unknown"


def _still_refused(session: ProbeSession, request: Mapping[str, Any], what: str) -> None:
    """Check that a request draws no success; a connection that the relay has closed serves nothing."""
    if not session.ended:
        judge.not_accepted(session.ask(request), what)


@requirement("CB-AUT-019")
def test_valid_auth_with_more_members(relay: RelayUnderTest) -> None:
    """Send a valid token next to members that claim another tenant, identity or right; its own tenant must count."""
    other = _other(relay)
    control = with_tunnel(relay)
    with relay.control("no tunnel for another tenant"):
        judge.not_accepted(control.ask(relay.tunnel_info(other)))
    control.close()

    def check(members: Members) -> None:
        with contextlib.closing(relay.greeted()) as session:
            _has_its_own_tenant(relay, session, members)

    each(_groups(other), check, together=relay.room.together)


def _has_its_own_tenant(relay: RelayUnderTest, session: ProbeSession, members: Members) -> None:
    """Send a valid token next to some members, and check that the session has the token's tenant if it is served."""
    exchange = session.ask({**relay.request("auth"), **members})
    if judge.served(exchange):
        _names(exchange, relay.tenant.id)
        session.assume(authenticated=True, tenant=relay.tenant.id)
        _still_refused(session, relay.tunnel_info(_other(relay)), "no tunnel for a tenant that only a member names")


def _names(exchange: Exchange, own: str) -> None:
    """Check that an auth_response names the token's tenant, and no client_id that a member claimed."""
    answer = exchange.answers[0]
    tenant, client = answer.member("tenant_id"), answer.member("client_id")
    if isinstance(tenant, str) and tenant != own:
        raise Broken(f"tenant_id {quoted(own)}, the token's", f"tenant_id {quoted(tenant)}", exchange)
    if client == _SOMEONE:
        raise Broken(
            "a client_id that follows from the token", f"client_id {quoted(client)}, from another member", exchange
        )


@requirement("CB-AUT-019")
@pytest.mark.parametrize("kind", ["spoiled", "missing"])
def test_bad_auth_with_more_members(relay: RelayUnderTest, kind: str) -> None:
    """Send a token with a wrong signature, or none, next to members that claim a success; it must be refused."""
    with_tunnel(relay).close()
    token = {"token": relay.tokens.spoiled(relay.tenant)} if kind == "spoiled" else {}
    with relay.control("a refused auth, and no tunnel after it"), contextlib.closing(relay.greeted()) as session:
        judge.refused(session.ask({"type": "auth", **token}, invalid=f"the token is {kind}"))
        _still_refused(session, relay.tunnel_info(), "no tunnel")

    def check(session: ProbeSession, members: Members) -> None:
        exchange = session.ask({"type": "auth", **token, **members}, invalid=f"the token is {kind}")
        judge.not_accepted(exchange, "no success of an auth with a bad token")
        _still_refused(session, relay.tunnel_info(), "no tunnel after an auth with a bad token")

    valid = relay.tokens.valid(relay.tenant)
    elsewhere = {**dict.fromkeys(("jwt", "access_token"), valid), "authorization": f"Bearer {valid}"}
    groups = {**_groups(relay.tenant.id), "a valid token elsewhere": elsewhere}
    in_turn(groups, relay.greeted, check, control=lambda session: takes_auth(relay, session))


@requirement("CB-AUT-020")
def test_no_other_request_authenticates(relay: RelayUnderTest) -> None:
    """Send each request but auth, before auth, with a valid token and an identity; no tunnel may be opened then."""
    with_tunnel(relay).close()
    with relay.control("no tunnel before auth"):
        judge.not_accepted(relay.greeted().ask(relay.tunnel_info()))
    named = {"token": relay.tokens.valid(relay.tenant), "tenant_id": relay.tenant.id, "client_id": relay.tenant.id}
    requests: dict[str, Mapping[str, Any]] = {
        "a hello": HELLO,
        "a heartbeat": {"type": "heartbeat"},
        "a message of unknown type": UNKNOWN,
        "a tunnel_info": relay.tunnel_info(),
    }

    def check(name: str) -> None:
        with contextlib.closing(relay.connect() if name == "a hello" else relay.greeted()) as session:
            exchange = session.ask({**requests[name], **named, **_OUTCOME, **_RIGHTS}, invalid="with a token")
            if name == "a tunnel_info":
                judge.not_accepted(exchange, "no tunnel before auth")
            _still_refused(session, relay.tunnel_info(), f"no tunnel after {name} with a token, before auth")

    each({name: name for name in requests}, check)


@requirement("CB-AUT-020")
def test_a_hello_chooses_no_tenant(relay: RelayUnderTest) -> None:
    """Send a hello with members that claim another tenant, then a valid token; its own tenant must count."""
    with_tunnel(relay).close()

    def check(members: Members) -> None:
        with contextlib.closing(relay.connect()) as session:
            if judge.served(session.ask({**HELLO, **members})):
                _has_its_own_tenant(relay, session, {})

    each(_groups(_other(relay)), check, together=relay.room.together)


@requirement("CB-AUT-020")
def test_no_other_request_changes_the_tenant(relay: RelayUnderTest) -> None:
    """On an authenticated connection, send each request but auth with another tenant's id and token."""
    other = relay.second_tenant
    with relay.control("no tunnel for another tenant"):
        judge.not_accepted(with_tunnel(relay).ask(relay.tunnel_info(other.id)))
    named = {"token": relay.tokens.valid(other), "tenant_id": other.id, "client_id": _SOMEONE, **_RIGHTS}

    def check(request: Mapping[str, Any]) -> None:
        with contextlib.closing(relay.authenticated()) as session:
            session.ask({**request, **named}, invalid="with another tenant")
            session.assume(authenticated=False)  # a second hello may have ended the authentication
            _still_refused(session, relay.tunnel_info(other.id), "no tunnel for a tenant that only a member names")

    each({"hello": HELLO, "heartbeat": {"type": "heartbeat"}, "unknown type": UNKNOWN}, check)


@requirement("CB-TUN-014")
@pytest.mark.parametrize("kind", ["another tenant's", "a port over 65535"])
def test_bad_tunnel_with_more_members(relay: RelayUnderTest, kind: str) -> None:
    """Send a tunnel_info that is refused, with members that claim a right, a success or a token for it."""
    tenants = kind == "another tenant's"
    if tenants:
        relay.needs.tenancy()
    other = _other(relay)
    bad: Callable[[], dict[str, Any]] = lambda: relay.tunnel_info(**({"tenant_id": other} if tenants else _BAD_PORT))  # noqa: E731
    session = with_tunnel(relay)
    with relay.control("a refused tunnel"):
        judge.refused(session.ask(bad(), invalid=kind))
    groups = {name: members for name, members in _groups(other).items() if name != "tenant"}
    if relay.profile.second_tenant is not None:
        groups["token"] = {"token": relay.tokens.valid(relay.profile.second_tenant), "tenant": other}
    if tenants:
        groups["own tenant"] = dict.fromkeys(_TENANTS, relay.tenant.id)

    def check(members: Members) -> None:
        nonlocal session
        session = with_tunnel(relay) if session.ended else session
        judge.not_accepted(session.ask({**members, **bad()}, invalid=kind), f"no tunnel for {kind} tunnel_info")

    each(groups, check)


_BAD_PORT = {"remote_port": 70_000}


@limits("tunnel_limit")
@requirement("CB-TUN-014")
@pytest.mark.parametrize("where", ["auth", "tunnel_info"])
def test_members_lift_no_limit(relay: RelayUnderTest, where: str) -> None:
    """Fill a tenant's tunnel limit and request one more, with members in the auth or in it that claim more."""
    tenant, limit = limited_tenant(relay, "tunnel_limit")
    limit_holds(relay, tenant, limit)
    members = {**_MORE, **_RIGHTS, **_FORCE}
    if where == "tunnel_info":
        session = relay.authenticated(tenant)
    else:
        relay.room.use(tenant, connections=1)
        session = relay.greeted()
        session.assume(tenant=tenant.id)
        exchange = session.ask({"type": "auth", "token": relay.tokens.valid(tenant), **members})
        if not judge.served(exchange):
            return
        session.assume(authenticated=True)
    session = fill_tunnels(relay, session, limit)
    for _ in range(2):
        request = relay.tunnel_info(tenant.id)
        more = members if where == "tunnel_info" else {}
        if not session.ended:
            judge.not_accepted(session.ask({**request, **more}), f"no tunnel {limit + 1} of {limit}")
