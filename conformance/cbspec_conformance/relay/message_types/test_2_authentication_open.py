"""Source: Message Types / 2. Authentication, where it is silent: what the relay does is recorded and never judged."""

from __future__ import annotations

import time

from cbspec.profile.profile import Tenant
from cbspec.tokens.forgery import MISSING
from cbspec.tokens.jws import Compact
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.observing import ACCEPTED, CLOSED, OPEN, reaction
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.properties.effort import QUICK
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

_LIVES = (1, 3, 6)
"""Seconds for which a token is to live at the least, tried in turn where a slow relay takes longer to see it."""


@requirement("CB-AUT-101")
def test_client_id(relay: RelayUnderTest) -> None:
    """The client_id in the answer to a valid auth is compared with the token's subject."""
    token = relay.tokens.valid(relay.tenant)
    try:
        subject = Compact.split(token).claims.get("sub")
    except ValueError:
        raise NotExercised("the ready-made token can't be taken apart; give tokens.secret or tokens.key_file") from None
    with relay.control("a valid auth"):
        answer = judge.accepted(relay.authenticate(relay.greeted(), relay.tenant, token=token))
    relay.log.saw("the token's subject" if answer.member("client_id") == subject else "another")


@requirement("CB-AUT-102")
def test_second_auth(relay: RelayUnderTest) -> None:
    """On an authenticated connection an auth of the same tenant, and one of another, follow; then tunnels of both."""
    other = relay.second_tenant
    relay.authenticated(other)
    for name, tenant in (("the same tenant", relay.tenant), ("another tenant", other)):
        session = relay.authenticated()
        relay.open_tunnel(session)
        session.assume(authenticated=False, tenant="")  # the connection's tenant is unknown from here on
        seen = reaction(session.ask({"type": "auth", "token": relay.tokens.valid(tenant)}))
        relay.log.saw(f"{seen}, {_acts_for(relay, session, other)}", of=name)


@requirement("CB-AUT-103")
def test_after_a_refused_auth(relay: RelayUnderTest) -> None:
    """An auth with a spoiled signature is followed by a good one on the same connection."""
    relay.authenticated()
    session = relay.greeted()
    with relay.control("an auth that is refused"):
        judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}))
    seen = CLOSED if session.ended else reaction(relay.authenticate(session, relay.tenant))
    relay.log.saw(CLOSED if seen == CLOSED else f"{OPEN}, a good token is {seen}")


@requirement("CB-AUT-104")
def test_leeway(relay: RelayUnderTest) -> None:
    """Tokens are shown that expired, or become valid, half a minute and four minutes from now."""
    now = int(time.time())
    for name, claims in (
        ("expired 30 s ago", {"exp": now - 30}),
        ("expired 4 minutes ago", {"exp": now - 240}),
        ("valid in 30 s", {"nbf": now + 30}),
        ("valid in 4 minutes", {"nbf": now + 240}),
    ):
        _show(relay, relay.tokens.minted(relay.tenant, {"iat": now - 600, **claims}), of=name)


@requirement("CB-AUT-105")
def test_longer_hashes(relay: RelayUnderTest) -> None:
    """Tokens are shown that are signed by HS384 and HS512 with the relay's own secret."""
    for algorithm in ("HS384", "HS512"):
        _show(relay, relay.tokens.minted(relay.tenant, {}, algorithm=algorithm), of=algorithm)


@requirement("CB-AUT-106")
def test_no_expiry(relay: RelayUnderTest) -> None:
    """A token without exp is shown."""
    _show(relay, relay.tokens.minted(relay.tenant, {"exp": MISSING}))


@requirement("CB-AUT-107")
def test_no_subject(relay: RelayUnderTest) -> None:
    """Tokens without sub, and with an empty one, are shown."""
    _show(relay, relay.tokens.minted(relay.tenant, {"sub": MISSING}), of="missing")
    _show(relay, relay.tokens.minted(relay.tenant, {"sub": ""}), of="empty")


@requirement("CB-AUT-108")
def test_critical_extension(relay: RelayUnderTest) -> None:
    """A token is shown whose header names an extension that nobody knows as critical."""
    name = "urn:cbspec:unknown"
    _show(relay, relay.tokens.minted(relay.tenant, {}, headers={"crit": [name], name: True}))


@requirement("CB-AUT-109")
def test_padded_signature(relay: RelayUnderTest) -> None:
    """A valid token is shown whose signature is filled up with equals signs."""
    token = relay.tokens.valid(relay.tenant)
    missing = -len(token.rpartition(".")[2]) % 4
    if not missing:
        raise NotExercised("signatures by the relay's algorithm need no padding")
    _show(relay, token + "=" * missing)


@requirement("CB-AUT-110")
def test_expiry_in_mid_session(relay: RelayUnderTest, explorer: Explorer) -> None:
    """A token expires on a connection that was authenticated with it, and is refused elsewhere; a tunnel follows."""
    if explorer.plan.effort is QUICK:
        raise NotExercised("a token must expire, which is waited for; --effort default does")
    for life in _LIVES:
        expires = int(time.time()) + life + 1
        token = relay.tokens.minted(relay.tenant, {"exp": expires})
        session = relay.greeted()
        if not judge.served(relay.authenticate(session, relay.tenant, token=token)):
            continue
        relay.open_tunnel(session)
        time.sleep(max(0.0, expires - time.time()) + 0.05)
        if judge.served(relay.authenticate(relay.greeted(), relay.tenant, token=token)):
            raise NotExercised("the relay takes the token for some time more, longer than a case should wait")
        session.assume(authenticated=False)
        seen = reaction(session.ask(relay.tunnel_info(session.tenant)))
        relay.log.saw("goes on" if seen == ACCEPTED else seen)
        return
    raise Inconclusive("no token lived long enough to be accepted")


@requirement("CB-AUT-111")
def test_token_shown_again(relay: RelayUnderTest) -> None:
    """The token of an open connection is shown on a second one, and again after both have closed."""
    token = relay.tokens.valid(relay.tenant)
    first = relay.authenticated(token=token)
    _show(relay, token, of="at the same time")
    first.close()
    _show(relay, token, of="afterwards")


@requirement("CB-AUT-112")
def test_issued_in_the_future(relay: RelayUnderTest) -> None:
    """A token is shown whose iat is eleven minutes from now."""
    _show(relay, relay.tokens.minted(relay.tenant, {"iat": int(time.time()) + 660}))


def _show(relay: RelayUnderTest, token: str, of: str = "") -> None:
    """Record how a token of the main tenant is met, beside a valid one that was accepted."""
    relay.authenticated().close()
    session = relay.greeted()
    relay.log.saw(reaction(relay.authenticate(session, relay.tenant, token=token)), of=of)
    session.close()


def _acts_for(relay: RelayUnderTest, session: ProbeSession, other: Tenant) -> str:
    """Return whose tunnels are opened on a connection behind a second auth."""
    served = {}
    for name, tenant in (("the first tenant", relay.tenant), ("the second tenant", other)):
        if session.ended:
            return "and closed"
        served[name] = reaction(session.ask(relay.tunnel_info(tenant.id))) == ACCEPTED
    return f"acts for {' and '.join(name for name, yes in served.items() if yes) or 'nobody'}"
