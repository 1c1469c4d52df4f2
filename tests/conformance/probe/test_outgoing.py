"""The suite sends exactly the intended messages; anything else is a mistake of the kit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.judging.errors import KitError
from cbspec_conformance.probe.outgoing import check_own, frames, intended, spell
from tests.conformance.build import TUNNEL

NEGATIVE = {**TUNNEL, "local_port": -1}


@pytest.mark.parametrize(
    ("request_", "text", "words"),
    [
        (TUNNEL, spell(NEGATIVE), "changed its meaning"),
        (TUNNEL, json.dumps(TUNNEL, indent=1).encode(), "one line"),
        (NEGATIVE, spell(NEGATIVE), "meant to be valid"),
    ],
)
def test_an_unintended_request_is_an_error_of_the_kit(request_: dict[str, Any], text: bytes, words: str) -> None:
    check_own(TUNNEL, spell(TUNNEL), "")
    assert intended(b'{"type":"heartbeat"}', "heartbeat").fault == ""
    assert intended(b'{"type":"heartbeat","type":"heartbeat"}', "heartbeat").fault
    assert intended(b"words", "").value is None
    with pytest.raises(KitError, match=words):
        check_own(request_, text, "")


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=4))
def test_fragments_are_one_masked_message(parts: list[bytes]) -> None:
    sent = frames(parts)
    assert [frame[0] & 0x80 for frame in sent] == [0] * (len(parts) - 1) + [0x80]
    assert all(frame[1] & 0x80 for frame in sent)
