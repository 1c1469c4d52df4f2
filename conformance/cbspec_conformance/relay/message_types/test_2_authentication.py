"""Source: Message Types / 2. Authentication; Error Codes / invalid_token."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import reject
from hypothesis.strategies import SearchStrategy

from cbspec.profile.profile import Tenant
from cbspec.tokens.forgery import FORGERIES, MISSING
from cbspec.tokens.jws import CompactJws, RawNumber
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, Inconclusive, NotExercised
from cbspec_conformance.judging.observing import ACCEPTED, CLOSED, OPEN, reaction
from cbspec_conformance.oracles.token_rules import TokenOracle
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.properties.effort import QUICK
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, Members, TokenTextChange
from cbspec_conformance.relay.requests import each_forgery_refused, with_tunnel
from cbspec_conformance.runner.marks import requirement, requirements
from cbspec_conformance.target.clock import in_words
from cbspec_conformance.target.kinds import each
from cbspec_conformance.target.relay import RelayUnderTest

_MOST_LEEWAY = 600  # seconds after which every relay must refuse an expired token
_UNUSUAL: dict[str, dict[str, dict[str, Any]]] = {
    "CB-AUT-104": {
        "expired 30 s ago": {"times": {"iat": -600, "exp": -30}},
        "expired 4 minutes ago": {"times": {"iat": -600, "exp": -240}},
        "valid in 30 s": {"times": {"iat": -600, "nbf": 30}},
        "valid in 4 minutes": {"times": {"iat": -600, "nbf": 240}},
    },
    "CB-AUT-105": {"HS384": {"algorithm": "HS384"}, "HS512": {"algorithm": "HS512"}},
    "CB-AUT-106": {"": {"claims": {"exp": MISSING}}},
    "CB-AUT-107": {"missing": {"claims": {"sub": MISSING}}, "empty": {"claims": {"sub": ""}}},
    "CB-AUT-108": {"": {"headers": {"crit": ["urn:cbspec:unknown"], "urn:cbspec:unknown": True}}},
    "CB-AUT-112": {"": {"times": {"iat": 660}}},
    "CB-AUT-113": {
        f"exp {text}": {"claims": {"exp": RawNumber(text)}}
        for text in (f"{2**31}", f"{2**32}", f"{2**53 + 1}", f"{2**63}", f"{2**64}", "4102444800.5", "1e18", "1e309")
    },
    "CB-AUT-114": {
        **{
            f"{claim} {text}": {"claims": {claim: RawNumber(text)}}
            for claim in ("nbf", "iat")
            for text in ("-1", "0", "0.5", "-1e309", *(("1e309",) if claim == "iat" else ()))
        },
        "iat a text": {"claims": {"iat": "0"}},
        "iat null": {"claims": {"iat": None}},
        "nbf a text": {"claims": {"nbf": "0"}},
        "exp a text in the future": {"claims": {"exp": "4102444800"}},
        "exp a text in the past": {"claims": {"exp": "1000000000"}},
        "exp null": {"claims": {"exp": None}},
    },
}
"""Signed tokens with other claims, times (in seconds from now), headers or algorithm than usual."""


@requirement("CB-AUT-001")
def test_valid_token_is_accepted(relay: RelayUnderTest) -> None:
    """Send a valid token after hello. If the relay accepts no token at all, the case is inconclusive."""
    session = relay.greeted()
    session.assume(tenant=relay.tenant.id)
    judge.accepted(session.ask(relay.request("auth")))


@requirements("CB-AUT-002", "CB-AUT-003", "CB-AUT-004")
def test_auth_response_is_valid(relay: RelayUnderTest, identifier: str) -> None:
    """Check the members of the answer to a valid auth, for two tenants if the profile has two."""
    relay.authenticated()
    if relay.profile.second_tenant is not None:
        relay.authenticated(relay.second_tenant)
    relay.log.judge_invariant(identifier)


@requirements(
    *("CB-AUT-005", "CB-AUT-006", "CB-AUT-007", "CB-AUT-008", "CB-AUT-009", "CB-AUT-010"),
    *("CB-AUT-011", "CB-AUT-012", "CB-AUT-013", "CB-AUT-014", "CB-AUT-015", "CB-AUT-018"),
)
def test_forged_tokens_are_refused(relay: RelayUnderTest, identifier: str) -> None:
    """Send every forgery of a requirement; expect invalid_token.

    Each forgery differs in one way from a valid token that the relay accepts.
    """
    # All are made from the token that was just accepted: a relay may cache its verdicts on tokens.
    valid = relay.tokens.valid(relay.tenant)
    with_tunnel(relay, valid).close()
    each_forgery_refused(relay, identifier, valid, lambda forgery, _: ("invalid_token", *forgery.also))


@pytest.mark.parametrize(
    ("damage", "needs_key"),
    [
        pytest.param(CLAIMS, True, marks=requirement("CB-AUT-005"), id="claims"),
        pytest.param(MEMBERS, False, marks=requirement("CB-AUT-007"), id="unsigned"),
        pytest.param(TEXTS, False, marks=requirement("CB-AUT-008"), id="text"),
    ],
)
def test_damaged_tokens_are_refused(
    relay: RelayUnderTest, explorer: Explorer, damage: SearchStrategy[Members | TokenTextChange], needs_key: bool
) -> None:
    """Damage the claims, headers or letters of a valid token at random; an oracle decides which must be refused."""
    key = relay.tokens.key
    if needs_key and key is None:
        raise NotExercised("the relay's signing key (tokens.secret or tokens.key_file) is needed")
    valid, _ = _readable_token(relay)
    relay.open_tunnel(relay.authenticated(token=valid))
    now = relay.tokens.now()
    secret = key.private if key is not None and key.symmetric else None
    tenants = [tenant.id for tenant in relay.profile.tenants]
    doubt = abs(relay.facts.clock - relay.facts.shift)
    rules = TokenOracle(
        [valid], secret=secret, tenants=tenants, tenancy=relay.needs.offers_tenancy, now=now, doubt=doubt
    )

    def check(drawn: Members | TokenTextChange) -> None:
        token = drawn.apply(valid, key.sign if key is not None else None, now)
        found = None if token is None else rules.judge(token, signed=isinstance(drawn, Members) and drawn.signed)
        if found is None:
            reject()
        relay.close()
        exchange = relay.show(token, f"{drawn}")
        try:
            judge.refused_with(exchange, *found.codes)
        except Broken as broken:
            broken.requirement = found.requirement
            broken.kinds = broken.kinds or tuple(filter(None, [found.kind]))
            raise

    explorer.explore(damage, check)
    relay.authenticated().close()  # with a new token: a relay may accept each token only once


@requirement("CB-AUT-016")
def test_refused_is_not_authenticated(relay: RelayUnderTest) -> None:
    """Send a valid tunnel_info after a refused auth; every case of a forged token does the same."""
    with_tunnel(relay).close()
    session = relay.greeted()
    with relay.control("a refused auth"):
        judge.refused(session.ask({"type": "auth", "token": "not-a-token"}))
    if session.ended:
        return
    judge.not_accepted(session.ask(relay.tunnel_info()), "no tunnel after a refused auth")


@requirement("CB-AUT-016")
def test_no_kind_of_refused_token_authenticates(relay: RelayUnderTest) -> None:
    """Send one forgery of each requirement on a connection of its own, followed by a tunnel_info."""
    valid = relay.tokens.valid(relay.tenant)
    relay.authenticated(token=valid).close()
    tenancy = relay.needs.offers_tenancy
    kinds = {f.requirement: f for f in FORGERIES if tenancy or not f.requirement.startswith("CB-TEN")}
    for forgery in kinds.values():
        with contextlib.suppress(NotExercised):  # some forgeries need the signing key
            relay.show(relay.tokens.forged(forgery, valid), forgery.sentence)
    relay.log.judge_invariant("CB-AUT-016")


@requirement("CB-AUT-017")
@pytest.mark.parametrize("when", ["before", "after", "closed"])
def test_auth_counts_for_its_own_connection(relay: RelayUnderTest, when: str) -> None:
    """Authenticate one connection; a tunnel_info on another, opened before, after or when it closed, is refused."""
    other = relay.greeted() if when == "before" else None
    authenticated = with_tunnel(relay)
    if when == "closed":
        authenticated.close()
    other = other or relay.greeted()
    judge.not_accepted(other.ask(relay.tunnel_info()), "no tunnel without an auth of its own")


@requirement("CB-AUT-017")
@pytest.mark.parametrize("end", ["closed", "reset"])
def test_connections_of_one_subject(relay: RelayUnderTest, end: str) -> None:
    """Authenticate two connections of one subject; after one is closed or reset, the other opens another tunnel."""
    first, second = with_tunnel(relay), with_tunnel(relay)
    first.wire.reset() if end == "reset" else first.close()
    relay.room.for_tunnel(second.tenant)
    judge.accepted(second.ask(relay.tunnel_info()))


@requirement("CB-AUT-017")
def test_tenants_stay_apart(relay: RelayUnderTest) -> None:
    """Authenticate two connections for two tenants; each opens tunnels of its own tenant, in turn."""
    first, second = relay.authenticated(), relay.authenticated(relay.second_tenant)
    for session in (first, second, first, second):
        exchange = session.ask(relay.tunnel_info(session.tenant))
        relay.room.for_tunnel(session.tenant)
        judge.accepted(exchange)


@requirement("CB-AUT-017")
def test_a_resumed_tls_session_is_not_authenticated(relay: RelayUnderTest) -> None:
    """Authenticate and close a connection, resume its TLS session on another, and request a tunnel after hello."""
    authenticated = with_tunnel(relay)
    tls = authenticated.wire.tls.ssl_object
    authenticated.close()
    if tls.session is None or not tls.session.has_ticket:
        raise NotExercised("the relay gives no ticket to resume a TLS session with")
    with relay.control("hello on a resumed TLS session"):
        other = relay.connect(resume=tls.session)
        judge.accepted(other.hello())
    if not other.wire.tls.ssl_object.session_reused:
        raise NotExercised("the relay resumes no TLS session")
    judge.not_accepted(other.ask(relay.tunnel_info()), "no tunnel without an auth of its own")


@requirement("CB-AUT-115")
def test_clock(relay: RelayUnderTest) -> None:
    """Compare the relay's clock with the suite's, by an HTTP Date or by the times of accepted tokens."""
    relay.authenticated()
    relay.log.saw(in_words(relay.facts.clock) if relay.facts.clock else "not noticed, or within half a minute")


# ------------------------------------------------------------------ open points, which are recorded and never judged


@requirement("CB-AUT-101")
def test_client_id(relay: RelayUnderTest) -> None:
    """Compare the client_id in the answer to a valid auth with the token's subject."""
    token, claims = _readable_token(relay)
    with relay.control("a valid auth"):
        answer = judge.accepted(relay.authenticate(relay.greeted(), relay.tenant, token=token))
    relay.log.saw("the token's subject" if answer.member("client_id") == claims.get("sub") else "another")


@requirement("CB-AUT-102")
def test_second_auth(relay: RelayUnderTest) -> None:
    """On an authenticated connection, send an auth of the same tenant or of another, then tunnel_infos of both."""
    other = relay.second_tenant
    relay.authenticated(other)
    for name, tenant in (("the same tenant", relay.tenant), ("another tenant", other)):
        session = with_tunnel(relay)
        session.assume(authenticated=False, tenant="")  # the connection's tenant is unknown from here on
        seen = reaction(session.ask({"type": "auth", "token": relay.tokens.valid(tenant)}))
        relay.log.saw(f"{seen}, {_tenants_after(relay, session, other)}", of=name)


@requirement("CB-AUT-103")
def test_after_a_refused_auth(relay: RelayUnderTest) -> None:
    """Send an auth with an invalid signature, then a valid one on the same connection."""
    relay.authenticated()
    session = relay.greeted()
    with relay.control("a refused auth"):
        judge.refused(session.ask({"type": "auth", "token": relay.tokens.spoiled(relay.tenant)}))
    seen = CLOSED if session.ended else reaction(relay.authenticate(session, relay.tenant))
    relay.log.saw(CLOSED if seen == CLOSED else f"{OPEN}, a good token is {seen}")


@requirements(
    "CB-AUT-104", "CB-AUT-105", "CB-AUT-106", "CB-AUT-107", "CB-AUT-108", "CB-AUT-112", "CB-AUT-113", "CB-AUT-114"
)
def test_unusual_tokens(relay: RelayUnderTest, identifier: str) -> None:
    """Send signed tokens with unusual claims, headers or algorithms, and record the reactions."""
    now = int(relay.tokens.now())
    relay.authenticated().close()

    def check(name: str) -> None:
        unusual = _UNUSUAL[identifier][name]
        claims = {claim: now + seconds for claim, seconds in unusual.get("times", {}).items()}
        claims |= unusual.get("claims", {})
        headers, algorithm = unusual.get("headers"), unusual.get("algorithm", "")
        seen[name] = _reaction(relay, relay.tokens.minted(relay.tenant, claims, headers, algorithm), control=False)

    kinds, seen = {name: name for name in _UNUSUAL[identifier]}, dict[str, str]()
    try:
        each(kinds, check, together=relay.room.together)
    finally:
        for name in filter(seen.__contains__, kinds):  # in a fixed order
            relay.log.saw(seen[name], of=name)


@requirement("CB-AUT-109")
def test_padded_signature(relay: RelayUnderTest) -> None:
    """Send a valid token whose signature is padded with equals signs."""
    token = relay.tokens.valid(relay.tenant)
    missing = -len(token.rpartition(".")[2]) % 4
    if not missing:
        raise NotExercised("signatures by the relay's algorithm need no padding")
    _record(relay, token + "=" * missing)


@requirement("CB-AUT-110")
def test_expiry_during_a_session(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Let a token expire on an authenticated connection, until other connections refuse it; then request a tunnel."""
    session, expires, token, _ = _accepted_briefly(relay, explorer)
    relay.open_tunnel(session)
    _await_expiry(relay, expires)
    if judge.served(relay.authenticate(relay.greeted(), relay.tenant, token=token)):
        raise NotExercised("the relay accepts the expired token for longer than a case should wait")
    session.assume(authenticated=False)
    seen = reaction(session.ask(relay.tunnel_info(session.tenant)))
    relay.log.saw("goes on" if seen == ACCEPTED else seen)


@requirement("CB-AUT-021")
def test_accepted_token_expires(relay: RelayUnderTest, explorer: Explorer) -> None:
    """Use a token until it has expired; it must be refused then, as another one is that expired at the same time."""
    session, expires, token, other = _accepted_briefly(relay, explorer)
    session.close()
    _await_expiry(relay, expires)
    if judge.served(relay.show(other, "it expired a moment ago")):
        raise NotExercised("the relay accepts an expired token for longer than a case should wait")
    judge.refused_with(relay.show(token, "it expired a moment ago, and was accepted before"), "invalid_token")
    relay.authenticated().close()


def _accepted_briefly(relay: RelayUnderTest, explorer: Explorer) -> tuple[ProbeSession, int, str, str]:
    """Return a session after auth, when its token is refused from then on, the token and one of another `jti` only.

    A relay may accept a token for some time after it expired: the token expires that much earlier then. A slow relay
    may receive a token too late: longer lifetimes are tried then.
    """
    if explorer.plan.effort is QUICK:
        raise NotExercised("the case waits until a token expires; use --effort default")
    leeway = _leeway(relay)
    for lifetime in (1, 3, 6):
        expires = int(relay.tokens.now()) + lifetime + 1
        claims = {"iat": expires - leeway - 60, "exp": expires - leeway}
        token, other = (relay.tokens.minted(relay.tenant, {**claims, "jti": f"{n}-{expires}"}) for n in (1, 2))
        session = relay.greeted()
        if judge.served(relay.authenticate(session, relay.tenant, token=token)):
            return session, expires, token, other
    raise Inconclusive("every token expired before the relay accepted it")


def _leeway(relay: RelayUnderTest) -> int:
    """Return the whole seconds after its expiry from which the relay refuses a token, by bisection; 0 for at once."""
    low, high = 0, _MOST_LEEWAY
    while high - low > 1:
        middle = (low + high) // 2
        session, expired = relay.greeted(), int(relay.tokens.now()) - middle
        token = relay.tokens.minted(relay.tenant, {"iat": expired - 60, "exp": expired})
        if judge.served(relay.authenticate(session, relay.tenant, token=token)):
            low = middle
        else:
            high = middle
        session.close()
    return high if low else 0


def _await_expiry(relay: RelayUnderTest, expires: int) -> None:
    """Wait until a relay that compares whole seconds finds the token expired too."""
    relay.clock.sleep(max(0.0, expires - relay.tokens.now()) + 1.05)


@requirement("CB-AUT-111")
def test_token_used_twice(relay: RelayUnderTest) -> None:
    """Send the token of an open connection on a second one, and again after both have closed."""
    token = relay.tokens.valid(relay.tenant)
    first = relay.authenticated(token=token)
    _record(relay, token, of="at the same time")
    first.close()
    _record(relay, token, of="afterwards")


def _record(relay: RelayUnderTest, token: str, of: str = "") -> None:
    """Record the reaction to a token of the main tenant. A valid token is the control."""
    relay.log.saw(_reaction(relay, token), of=of)


def _reaction(relay: RelayUnderTest, token: str, *, control: bool = True) -> str:
    if control:
        relay.authenticated().close()
    with contextlib.closing(relay.greeted()) as session:
        return reaction(relay.authenticate(session, relay.tenant, token=token))


def _readable_token(relay: RelayUnderTest) -> tuple[str, Mapping[str, object]]:
    """Return a valid token and its claims. Raises NotExercised if it can't be parsed."""
    token = relay.tokens.valid(relay.tenant)
    try:
        parts = CompactJws.split(token)
        _, claims = parts.headers, parts.claims
    except ValueError:
        raise NotExercised("the ready-made token is no readable JWT; give tokens.secret or tokens.key_file") from None
    return token, claims


def _tenants_after(relay: RelayUnderTest, session: ProbeSession, other: Tenant) -> str:
    """Return the tenants whose tunnels are opened after a second auth."""
    served = {}
    for name, tenant in (("the first tenant", relay.tenant), ("the second tenant", other)):
        if session.ended:
            return "and closed"
        served[name] = reaction(session.ask(relay.tunnel_info(tenant.id))) == ACCEPTED
    return f"acts for {' and '.join(name for name, yes in served.items() if yes) or 'no tenant'}"
