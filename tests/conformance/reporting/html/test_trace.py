"""Records as rows of a diagram: what is folded, and what never is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.reporting.html.trace import diagram

RECORDS = st.lists(st.sampled_from(["hello", "auth", "heartbeat", "error", "odd"]), max_size=600)


def _record(number: int, kind: str) -> dict[str, Any]:
    text = "\x00{" if kind == "odd" else json.dumps({"type": kind, "n": number})
    return {"record": "Message", "at": number, "connection": number // 50, "direction": "sent", "text": text}


@given(RECORDS, st.sets(st.integers(0, 599), max_size=5))
def test_every_record_is_shown_or_counted_and_decisive_ones_are_shown(kinds: list[str], places: set[int]) -> None:
    decisive = {place for place in places if place < len(kinds)}
    rows = diagram([_record(*each) for each in enumerate(kinds)], decisive)
    shown = [row for row in rows if row[0] == "m"]
    folded = sum(row[1] * row[2] for row in rows if row[0] == "r")
    assert decisive <= {row[1] for row in shown}
    assert [row[1] for row in shown] == sorted(row[1] for row in shown)
    if not any(row[0] == "g" for row in rows):
        assert len(shown) + folded == len(kinds)
    assert len(rows) < 400


def test_repetitions_over_many_connections_are_folded() -> None:
    kinds = ["hello", "auth", "heartbeat"] * 90
    rows = diagram([_record(*each) for each in enumerate(kinds)])
    assert [row[0] for row in rows] == ["m", "m", "m", "r"]
    assert rows[-1] == ["r", 3, 89]


def test_the_arrows_of_a_client_are_seen_from_its_relay() -> None:
    record = _record(0, "hello")
    assert (diagram([record])[0][4], diagram([record], of_client=True)[0][4]) == (0, 1)
