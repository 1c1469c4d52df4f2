"""Facts as plain data."""

from __future__ import annotations

import json

from cbspec_conformance.probe.tempo import Latency
from cbspec_conformance.target.facts import Facts


def test_facts_survive_json() -> None:
    facts = Facts("websocket", True, "no TLS", features=("tls", "é"), rejected=True, latency=Latency(0.1, 0.2, 0.3))
    assert Facts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
