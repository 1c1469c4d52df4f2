"""Source: Notes / all messages must be valid UTF-8 JSON: damaged texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Broken
from cbspec_conformance.oracles.referee import is_closed, is_no_message, is_utf8
from cbspec_conformance.properties.damage import CHANGES, SLIPS, ByteChange, Slip
from cbspec_conformance.properties.explore import Explorer
from cbspec_conformance.properties.strategies import SPELLINGS, Spelling
from cbspec_conformance.runner.marks import requirement
from cbspec_conformance.target.relay import RelayUnderTest
from cbspec_conformance.target.sessions import Sessions

Damage = Sequence[ByteChange | Slip]

_GRAMMAR: SearchStrategy[Damage] = SLIPS.map(lambda slip: [slip])


@requirement("CB-MSG-005")
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("damage", [_GRAMMAR, CHANGES], ids=["grammar", "bytes"])
def test_damaged_texts_are_not_accepted(
    relay: RelayUnderTest, explorer: Explorer, damage: SearchStrategy[Damage], transport: str
) -> None:
    """Damage JSON texts at random; an independent reader decides which are no JSON, and none of those is accepted."""
    if transport == "websocket":
        relay.needs.websocket()
    else:
        relay.needs.stream()
    sessions = Sessions(relay, transport)

    def check(drawn: tuple[Spelling, bool, Damage]) -> None:
        spelling, beats, changes = drawn
        text = spelling.write(_request(relay, beats=beats)).encode()
        for change in changes:
            text = change.apply(text)
        # In a stream, an unclosed text includes the messages after it; over WebSocket a message has its own bounds.
        if not is_no_message(text) or (transport == "tcp" and not is_closed(text)):
            reject()
        session = sessions.next()
        exchange = session.ask_text(text, meant=str(changes), like="heartbeat" if beats else "tunnel_info")
        try:
            judge.not_accepted(exchange, "no success answer to a text that is not JSON in UTF-8")
        except Broken as broken:
            broken.requirement = "CB-MSG-005" if is_utf8(text) else "CB-MSG-006"
            raise

    explorer.explore(st.tuples(SPELLINGS, st.booleans(), damage), check)
    relay.open_tunnel(relay.authenticated(transport=transport))


def _request(relay: RelayUnderTest, *, beats: bool) -> dict[str, Any]:
    return {"type": "heartbeat"} if beats else relay.tunnel_info(tunnel_id="cbspec-damaged")
