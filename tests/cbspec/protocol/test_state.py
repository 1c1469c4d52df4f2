"""The state table is complete."""

from __future__ import annotations

from itertools import product

from cbspec.catalogue.requirements import find
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Heartbeat, Hello, TunnelInfo
from cbspec.protocol.state import REQUESTS, SUCCESS_TYPES, TABLE, Serve, State

# The specification's order, compared with a hand-written list of the served requests.
SERVED = {
    (State.CONNECTED, Hello): State.GREETED,
    (State.GREETED, Hello): State.GREETED,
    (State.GREETED, Auth): State.AUTHENTICATED,
    (State.AUTHENTICATED, Hello): State.AUTHENTICATED,
    (State.AUTHENTICATED, TunnelInfo): State.AUTHENTICATED,
    (State.AUTHENTICATED, Heartbeat): State.AUTHENTICATED,
}


def test_every_pair_of_state_and_request_has_a_rule_with_a_requirement() -> None:
    assert set(TABLE) == set(product(State, REQUESTS))
    pairs = {(request.type, rule.answer.type) for (_, request), rule in TABLE.items() if isinstance(rule, Serve)}
    assert pairs == set(SUCCESS_TYPES.items())
    assert {pair: rule.then for pair, rule in TABLE.items() if isinstance(rule, Serve)} == SERVED
    for rule in TABLE.values():
        assert find(rule.requirement).id == rule.requirement
        assert isinstance(rule, Serve) or (rule.code in ErrorCode and rule.text)
