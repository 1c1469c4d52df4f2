"""The functions that variations are made of."""

from __future__ import annotations

import pytest

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.answers import answers, drop, put, twice
from cbspec_simulator.variations.parts import both
from cbspec_simulator.variations.steps import without
from tests.support.memory import BEAT, HELLO, MemoryRelay, tunnel


def test_changes_are_applied_in_their_order() -> None:
    change = both(
        answers("hello_response", put("version", "9")),
        answers("hello_response", lambda body, _: {**body, "version": body["version"] * 2}),
        answers("hello_response", twice),
    )
    assert [body["version"] for body in MemoryRelay(change=change).client().send(HELLO)] == ["99", "99"]


def test_an_edit_affects_only_the_named_type_and_code() -> None:
    client = MemoryRelay(change=answers("error:tenant_not_found", drop("message"))).authenticated()
    assert "message" not in client.ask(tunnel(tenant="b"))
    assert "message" in client.ask({"type": "x"})
    assert client.type(BEAT) == "heartbeat_response"


def test_a_step_that_does_not_exist_is_named() -> None:
    with pytest.raises(LookupError, match="no step is called rats"):
        without("rats")(Behaviour())
