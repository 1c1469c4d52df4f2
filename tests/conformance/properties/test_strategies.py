"""Legal spellings, cuts and identifiers."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

import cbspec_schemas
from cbspec.protocol.strictjson import loads
from cbspec_conformance.properties.strategies import CUTS, MISSING, SPELLINGS, TUNNEL_IDS, Spelling, pieces, without
from tests.conformance.build import JSON, TUNNEL

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
