"""Damage to tokens: made of any token, and never holding one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cbspec.tokens.jws import Compact
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, FromNow, Members, Ours, TokenTextChange
from tests.conformance.oracles.test_token_rules import KEY, NOW, RULES, VALID


def test_members_are_changed_and_signed_again() -> None:
    damage = Members({"exp": FromNow(-700), "tenant_id": Ours("x-", " ")}, {"kid": "k"}, signed=True)
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    parts = Compact.split(token)
    assert (parts.claims["exp"], parts.claims["tenant_id"], parts.headers["kid"]) == (NOW - 700, "x-tenant-a ", "k")
    assert parts.signature == KEY.sign(parts.signing_input)
    assert damage.apply(VALID, None, NOW) is None


def test_segments_row_by_row() -> None:
    made = {
        how: TokenTextChange(how, 1, 0.5, "A").apply("aa.bbbb.cc", None, NOW)
        for how in ("drop", "empty", "double", "swap")
    }
    assert made == {"drop": "aa.cc", "empty": "aa..cc", "double": "aa.bbbb.bbbb.cc", "swap": "bbbb.aa.cc"}
    letters = {
        how: TokenTextChange(how, 1, 0.5, "A").apply("aa.bbbb.cc", None, NOW)
        for how in ("delete", "insert", "replace", "cut")
    }
    assert letters == {"delete": "aa.bbb.cc", "insert": "aa.bbAbb.cc", "replace": "aa.bbAb.cc", "cut": "aa.bb.cc"}


@given(CLAIMS)
def test_claims_with_a_right_signature_must_nearly_always_be_refused(damage: Members) -> None:
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    found = RULES.judge(token)
    assert found is None or found.requirement in ("CB-AUT-005", "CB-AUT-006", "CB-TEN-001", "CB-TEN-002")


@given(st.one_of(CLAIMS, MEMBERS, TEXTS))
def test_what_is_shown_of_it_is_no_token(damage: Members | TokenTextChange) -> None:
    assert VALID.split(".")[2] not in str(damage)
