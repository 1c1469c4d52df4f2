"""Values of the properties: legal spellings, cuts and identifiers, and damage to requests and tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import cbspec_schemas
from cbspec.protocol.strictjson import loads
from cbspec.tokens.forgery import MISSING
from cbspec.tokens.jws import CompactJws
from cbspec_conformance.properties.damage import (
    ByteChange,
    Literal,
    Slip,
    write_with,
)
from cbspec_conformance.properties.strategies import CUTS, SPELLINGS, TUNNEL_IDS, Spelling, pieces
from cbspec_conformance.properties.token_damage import CLAIMS, MEMBERS, TEXTS, FromNow, Members, Ours, TokenTextChange
from cbspec_conformance.record.changes import without
from tests.conformance.build import JSON, TUNNEL
from tests.conformance.oracles.test_token_rules import KEY, NOW, RULES, VALID

MESSAGES = st.dictionaries(st.text(max_size=6), JSON, max_size=4)


@given(spelling=SPELLINGS, message=MESSAGES)
@example(Spelling((0,), ("",), ("upper",)), {"😀": '"\\/\b\f\n\r\t\x00\x7f'})
@example(Spelling((0,), ("",), ("short",)), {"😀": '"\\/\b\f\n\r\t\x00\x7f'})
@example(Spelling((0,), (" \t ",), ("plain",)), {"": {}, "a": [], "b": [[], {}]})
def test_a_spelling_keeps_the_value_and_one_line(spelling: Spelling, message: dict[str, Any]) -> None:
    text = spelling.write(message)
    assert json.loads(text) == loads(text.encode()) == message
    assert not set("\n\r") & set(text)


def test_order_spaces_and_left_out_members() -> None:
    assert Spelling((2, 1, 0), ("",), ("plain",)).write({"a": 1, "b": 2, "c": 3}) == '{"c":3,"b":2,"a":1}'
    assert Spelling((0,), (" ",), ("plain",)).write({"a": []}) == '{ "a" : [ ] }'
    assert Spelling((0,), ("",), ("short",)).write({"a/": "é\n"}) == '{"a\\/":"é\\n"}'
    assert Spelling((0,), ("",), ("upper",)).write({"a/": "é\n"}) == '{"\\u0061\\u002F":"\\u00E9\\u000A"}'
    assert without({"a": 1, "b": 2}, "a", MISSING) == without({"a": 1, "b": 2}, "a") == {"b": 2}
    assert without({"a": 1, "b": 2}, "b", None) == {"a": 1, "b": None}


@given(data=st.binary(min_size=1, max_size=80), places=CUTS, tail=st.integers(1, 4))
def test_pieces_are_the_same_bytes_in_order(data: bytes, places: list[float], tail: int) -> None:
    assume(len(data) >= tail)
    parts = pieces(data, places, tail)
    assert b"".join(parts) == data
    assert all(parts)
    assert len(parts[-1]) >= min(tail, len(data))


@given(TUNNEL_IDS)
def test_tunnel_ids_are_valid(tunnel_id: str) -> None:
    assert cbspec_schemas.violations("client", {**TUNNEL, "tunnel_id": tunnel_id}) == []
    assert tunnel_id.strip()
    assert "\0" not in tunnel_id


def test_a_member_is_replaced_spelled_or_left_out() -> None:
    request = {"a": 1, "b": "é"}
    assert write_with(request, "a", MISSING) == '{"b":"é"}'.encode()
    assert write_with(request, "a", Literal("1E0")) == '{"a":1E0,"b":"é"}'.encode()
    assert write_with(request, "b", None) == b'{"a":1,"b":null}'


TEXT = b'{"a":[1,true]}'


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (ByteChange("delete", 0.0, 0.0, b""), b'"a":[1,true]}'),
        (ByteChange("insert", 0.5, 0.5, b"X"), b'{"a":[1X,true]}'),
        (ByteChange("replace", 0.5, 0.5, b"XY"), b'{"a":[1XYrue]}'),
        (ByteChange("double", 0.5, 0.5, b""), b'{"a":[1,,true]}'),
        (ByteChange("swap", 0.0, 0.9, b""), b']"a":[1,true{}'),
        (Slip(0, "before", "//"), b'//{"a":[1,true]}'),
        (Slip(1, "for", "a"), b"{a:[1,true]}"),
        (Slip(4, "after", ","), b'{"a":[1,,true]}'),
        (Slip(6, "for", "True"), b'{"a":[1,True]}'),
        (Slip(9, "for", ""), b'"a":[1,true]}'),
    ],
)
def test_damage_row_by_row(damage: ByteChange | Slip, text: bytes) -> None:
    assert damage.apply(TEXT) == text
    if isinstance(damage, ByteChange):
        damage.apply(b"")


def test_members_are_changed_and_signed_again() -> None:
    damage = Members({"exp": FromNow(-700), "tenant_id": Ours("x-", " ")}, {"kid": "k"}, signed=True)
    token = damage.apply(VALID, KEY.sign, NOW)
    assert token is not None
    parts = CompactJws.split(token)
    assert (parts.claims["exp"], parts.claims["tenant_id"], parts.headers["kid"]) == (NOW - 700, "x-tenant-a ", "k")
    assert parts.signature == KEY.sign(parts.signing_input)
    assert damage.apply(VALID, None, NOW) is None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Members({"exp": FromNow(-700)}, {}, signed=True), 'exp: "700 s ago" in the claims, signed with the right key'),
        (
            Members({"tenant_id": Ours("x-", "")}, {}, signed=True),
            'tenant_id: "x-<its own tenant>" in the claims, signed with the right key',
        ),
        (Members({}, {"alg": MISSING}, signed=False), "alg: missing in the header, under the old signature"),
        (TokenTextChange("insert", 1, 0.5, "A"), 'the token\'s payload has "A" inserted'),
    ],
)
def test_the_damage_of_a_token_in_words(damage: Members | TokenTextChange, words: str) -> None:
    assert str(damage) == words


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
