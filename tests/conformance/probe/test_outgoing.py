"""The suite sends exactly the intended messages; anything else is a mistake of the kit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.judging.errors import KitError
from cbspec_conformance.probe.outgoing import check_own, frames, intended, spell
from tests.conformance.build import REQUESTS, TUNNEL

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NEGATIVE = {**TUNNEL, "local_port": -1}


@given(JSON)
def test_a_message_is_encoded_on_one_line(message: object) -> None:
    assert b"\n" not in spell(message)
    assert json.loads(spell(message)) == message


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_valid_request_is_allowed(request_: dict[str, Any]) -> None:
    check_own(request_, spell(request_), "")


@pytest.mark.parametrize(
    ("request_", "text", "words"),
    [
        (TUNNEL, spell(NEGATIVE), "changed its meaning"),
        (TUNNEL, json.dumps(TUNNEL, indent=1).encode(), "one line"),
        (NEGATIVE, spell(NEGATIVE), "meant to be valid"),
    ],
)
def test_an_unintended_request_is_an_error_of_the_kit(request_: dict[str, Any], text: bytes, words: str) -> None:
    with pytest.raises(KitError, match=words):
        check_own(request_, text, "")


def test_a_handmade_text_counts_as_a_message_only_if_it_is_one() -> None:
    assert intended(b'{"type":"heartbeat"}', "heartbeat").fault == ""
    assert intended(b'{"type":"heartbeat"', "heartbeat").fault
    assert intended(b'{"type":"heartbeat","type":"heartbeat"}', "heartbeat").fault
    assert intended(b"words", "").value is None


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=4))
def test_fragments_are_one_masked_message(parts: list[bytes]) -> None:
    sent = frames(parts)
    assert [frame[0] & 0x80 for frame in sent] == [0] * (len(parts) - 1) + [0x80]
    assert all(frame[1] & 0x80 for frame in sent)
