"""Every kind is described, and proven on the wire at each point at which it strikes and with each parameter."""

from __future__ import annotations

import re

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_simulator.faults import meaning, message, tls, transport, websocket
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.fault import Fault
from cbspec_simulator.faults.kind import FaultLayer
from cbspec_simulator.faults.when import CONDITIONS, REQUESTS
from tests.simulator.faults import test_meaning, test_message, test_tls, test_transport, test_websocket

MODULES = (tls, transport, websocket, message, meaning)
SHOWS = {
    **test_tls.SHOWS,
    **test_transport.SHOWS,
    **test_websocket.SHOWS,
    **test_message.SHOWS,
    **test_meaning.SHOWS,
}


def test_kinds_in_order_of_their_layers() -> None:
    assert list(KINDS) == [kind.name for module in MODULES for kind in module.KINDS] == list(SHOWS)
    assert list(dict.fromkeys(kind.layer for kind in KINDS.values())) == list(FaultLayer)


def test_each_kind_is_proven_at_every_point_and_with_every_parameter() -> None:
    for name, kind in KINDS.items():
        points = set()
        for shown in SHOWS[name]:
            when = shown.fault.get("when", {})
            point = "request" if when.get("message") in REQUESTS else when.get("direction")
            points.add(point or ("answer" if "message" in when else kind.directions[0].value))
        assert points == {direction.value for direction in kind.directions}, name
        assert set(kind.params) <= {key for shown in SHOWS[name] for key in shown.fault}, name


def test_each_kind_is_described() -> None:
    for name, kind in KINDS.items():
        assert re.fullmatch(r"[a-z0-9.-]+", name)
        assert re.fullmatch(r"[A-Z].*\.", kind.sentence), name
        assert kind.stands_for in REQUIREMENTS or not kind.stands_for.startswith("CB-")
        for key, param in kind.params.items():
            assert param.meaning, (name, key)
            assert key not in (*CONDITIONS, "name", "kind", "sequence", "repeat", "when"), (name, key)
            if param.default is not None:
                assert not param.required
                Fault.read({**SHOWS[name][0].fault, "kind": name, key: param.default})
