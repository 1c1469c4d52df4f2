"""What the suite's sessions are held against says the very same bytes, and is answered as they were."""

from __future__ import annotations

import json

import pytest

from bench import suite
from cbspec_conformance.record.transcript import Direction
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.target.contexts import context_for


def test_the_bare_client_says_what_the_suite_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "_SESSIONS", 2)
    with embedded_simulator() as ready:
        profile = ready()
        said = suite._said(profile, suite._facts(profile))
        sent = [json.loads(data)["type"] for direction, data in said if direction is Direction.SENT]
        assert sent == ["hello", "auth", "tunnel_info", "heartbeat"]
        received = [json.loads(data) for direction, data in said if direction is Direction.RECEIVED]
        assert [answer["type"] for answer in received][-1:] == ["heartbeat_response"]
        suite._bare(suite._address(profile), context_for(profile.tls), profile.target.server_name, said)


def test_the_examples_are_of_several_properties() -> None:
    took, properties = suite._explored(1)
    assert took > 0
    assert properties > 10
