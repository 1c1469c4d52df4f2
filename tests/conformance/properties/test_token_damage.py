"""Damage to tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import CompactJws
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, FromNow, Members, Ours, TokenTextChange
from tests.conformance.oracles.test_token_rules import KEY, NOW, RULES, VALID


def test_members_are_changed_and_signed_again() -> None:
    damage = Members({"exp": FromNow(-700), "tenant_id": Ours("x-", " ")}, {"kid": "k"}, signed=True)
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    parts = CompactJws.split(token)
    assert (parts.claims["exp"], parts.claims["tenant_id"], parts.headers["kid"]) == (NOW - 700, "x-tenant-a ", "k")
    assert parts.signature == KEY.sign(parts.signing_input)
    assert damage.apply(VALID, None, NOW) is None


@pytest.mark.parametrize(
    ("how", "token"),
    [
        *[("drop", "aa.cc"), ("empty", "aa..cc"), ("double", "aa.bbbb.bbbb.cc"), ("swap", "bbbb.aa.cc")],
        *[("delete", "aa.bbb.cc"), ("insert", "aa.bbAbb.cc"), ("replace", "aa.bbAb.cc"), ("cut", "aa.bb.cc")],
    ],
)
def test_text_changes_row_by_row(how: str, token: str) -> None:
    assert TokenTextChange(how, 1, 0.5, "A").apply("aa.bbbb.cc", None, NOW) == token


@given(CLAIMS)
def test_damaged_claims_break_a_requirement_on_claims(damage: Members) -> None:
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    found = RULES.judge(token)
    assert found is None or found.requirement in ("CB-AUT-005", "CB-AUT-006", "CB-TEN-001", "CB-TEN-002")


@given(st.one_of(CLAIMS, MEMBERS, TEXTS))
def test_damage_as_shown_contains_no_token(damage: Members | TokenTextChange) -> None:
    assert VALID.split(".")[2] not in str(damage)
