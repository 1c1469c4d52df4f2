"""The catalogue of kinds: whole, in words, and each shown on the wire."""

from __future__ import annotations

import re

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_simulator.faults import meaning, message, tls, transport, websocket
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import TRANSPORTS, FaultLayer
from cbspec_simulator.faults.when import CONDITIONS
from tests.simulator.faults import test_meaning, test_message, test_tls, test_transport, test_websocket

MODULES = (tls, transport, websocket, message, meaning)
SHOWS = {
    **test_tls.SHOWS,
    **test_transport.SHOWS,
    **test_websocket.SHOWS,
    **test_message.SHOWS,
    **test_meaning.SHOWS,
}


def test_names_are_there_once() -> None:
    assert len(KINDS) == sum(len(module.KINDS) for module in MODULES)
    assert list(KINDS) == [kind.name for module in MODULES for kind in module.KINDS]


def test_every_layer_has_its_faults() -> None:
    layers = list(dict.fromkeys(kind.layer for kind in KINDS.values()))
    assert layers == list(FaultLayer)


@pytest.mark.parametrize("name", KINDS)
def test_each_is_shown_in_every_direction(name: str) -> None:
    """See that there is a probe of each kind, and for each place where it strikes."""
    kind, shows = KINDS[name], SHOWS[name]
    assert shows
    asked = {"heartbeat", "auth", "hello", "tunnel_info", "unknown"}
    struck = set()
    for shown in shows:
        when = shown.fault.get("when", {})
        said = "request" if when.get("message") in asked else when.get("direction")
        struck.add(said or ("answer" if "message" in when else kind.directions[0].value))
    assert struck == {direction.value for direction in kind.directions}


@pytest.mark.parametrize("name", KINDS)
def test_each_parameter_is_given_once_at_least(name: str) -> None:
    given = {key for shown in SHOWS[name] for key in shown.fault}
    assert set(KINDS[name].params) <= given


@pytest.mark.parametrize("name", KINDS)
def test_each_is_described(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name
    assert re.fullmatch(r"[a-z0-9.-]+", name)
    assert kind.sentence[0].isupper()
    assert kind.sentence.endswith(".")
    assert kind.stands_for
    assert kind.directions
    assert set(kind.transports) <= set(TRANSPORTS)
    if kind.stands_for.startswith("CB-"):
        assert kind.stands_for in REQUIREMENTS
    for key, param in kind.params.items():
        assert param.value.meaning, key
        assert not (param.required and param.default is not None), key
        assert param.default is None or param.value.good(param.default), key
        assert key not in (*CONDITIONS, "name", "kind", "sequence", "repeat", "when"), key
