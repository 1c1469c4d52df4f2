"""Source: Message Types / 2. Authentication; Error Codes / invalid_token: random damage to tokens."""

from __future__ import annotations

import time

import pytest
from hypothesis import reject
from hypothesis.strategies import SearchStrategy

from cbspec.tokens.jws import CompactJws
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken, NotExercised
from cbspec_conformance.oracles.token_rules import TokenOracle
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, Members, TokenTextChange
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest

Damage = Members | TokenTextChange


@pytest.mark.parametrize(
    ("damage", "needs_key"),
    [
        pytest.param(CLAIMS, True, marks=requirement("CB-AUT-005"), id="claims"),
        pytest.param(MEMBERS, False, marks=requirement("CB-AUT-007"), id="unsigned"),
        pytest.param(TEXTS, False, marks=requirement("CB-AUT-008"), id="text"),
    ],
)
def test_damaged_tokens_are_refused(
    relay: RelayUnderTest, explorer: Explorer, damage: SearchStrategy[Damage], needs_key: bool
) -> None:
    """Damage the claims, headers or letters of a valid token at random; an oracle decides which must be refused."""
    key = relay.tokens.key
    if needs_key and key is None:
        raise NotExercised("the relay's signing key (tokens.secret or tokens.key_file) is needed")
    valid = _accepted(relay)
    now = time.time()
    rules = TokenOracle(
        genuine=[valid],
        secret=key.private if key is not None and key.symmetric else None,
        tenants=[tenant.id for tenant in relay.profile.tenants],
        tenancy=relay.needs.offers_tenancy,
        now=now,
    )

    def check(drawn: Damage) -> None:
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
            raise

    explorer.explore(damage, check)
    relay.authenticated().close()  # with a new token: a relay may accept each token only once


def _accepted(relay: RelayUnderTest) -> str:
    """Return a token that the relay accepts and that can be parsed."""
    valid = relay.tokens.valid(relay.tenant)
    try:
        _ = CompactJws.split(valid).headers, CompactJws.split(valid).claims
    except ValueError:
        raise NotExercised(
            "the ready-made tokens are no readable JWTs; give tokens.secret or tokens.key_file"
        ) from None
    relay.open_tunnel(relay.authenticated(token=valid))
    return valid
