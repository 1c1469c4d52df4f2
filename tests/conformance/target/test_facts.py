"""Serialisation of facts."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.probe.tempo import Latency
from cbspec_conformance.target.facts import Facts

FACTS = st.builds(
    Facts,
    transport=st.sampled_from(["tcp", "websocket"]),
    websocket=st.booleans(),
    tls=st.text(max_size=5),
    features=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    rejected=st.booleans(),
    latency=st.builds(Latency, st.floats(0, 9), st.floats(0, 9), st.floats(0, 9)),
)


@given(FACTS)
def test_facts_survive_serialisation(facts: Facts) -> None:
    assert Facts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
