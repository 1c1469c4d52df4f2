"""The suite sends what the case meant; anything else is an error of the kit."""

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


@given(JSON)
def test_messages_are_encoded_on_one_line(message: object) -> None:
    assert b"\n" not in spell(message)
    assert json.loads(spell(message)) == message


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_valid_request_is_allowed(request_: dict[str, Any]) -> None:
    check_own(request_, spell(request_), "")


@pytest.mark.parametrize(
    ("text", "invalid", "words"),
    [
        (spell({**TUNNEL, "local_port": -1}), "", "changed its meaning"),
        (json.dumps(TUNNEL, indent=1).encode(), "", "one line"),
    ],
)
def test_unintended_text_is_rejected(text: bytes, invalid: str, words: str) -> None:
    with pytest.raises(KitError, match=words):
        check_own(TUNNEL, text, invalid)


def test_invalid_request_needs_a_reason() -> None:
    wrong = {**TUNNEL, "local_port": -1}
    with pytest.raises(KitError, match="meant to be valid"):
        check_own(wrong, spell(wrong), "")
    check_own(wrong, spell(wrong), "local_port is negative")


def test_hand_made_text_is_decoded() -> None:
    assert intended(b'{"type":"heartbeat"}', "heartbeat").fault == ""
    assert intended(b'{"type":"heartbeat"', "heartbeat").fault
    assert intended(b'{"type":"heartbeat","type":"heartbeat"}', "heartbeat").fault
    assert intended(b"words", "").value is None


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=4))
def test_frames_make_up_one_message(parts: list[bytes]) -> None:
    sent = frames(parts)
    assert len(sent) == len(parts)
    assert [frame[0] & 0x80 for frame in sent] == [0] * (len(parts) - 1) + [0x80]
    assert all(frame[1] & 0x80 for frame in sent)  # masked, since a client sends them
