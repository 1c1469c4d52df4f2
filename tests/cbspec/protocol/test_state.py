"""The state table: whole, reachable, and drawn as it is."""

from __future__ import annotations

from itertools import product

import pytest

from cbspec.catalogue.requirements import find
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth, Heartbeat, Hello, Request, TunnelInfo
from cbspec.protocol.state import REQUESTS, TABLE, Refuse, Serve, State, diagram

# The specification's order, written down a second time: which requests are served where.
SERVED = {
    (State.CONNECTED, Hello): State.GREETED,
    (State.GREETED, Hello): State.GREETED,
    (State.GREETED, Auth): State.AUTHENTICATED,
    (State.AUTHENTICATED, Hello): State.AUTHENTICATED,
    (State.AUTHENTICATED, TunnelInfo): State.AUTHENTICATED,
    (State.AUTHENTICATED, Heartbeat): State.AUTHENTICATED,
}


def test_every_pair_of_state_and_request_is_in_the_table() -> None:
    assert set(TABLE) == set(product(State, REQUESTS))


def test_exactly_the_requests_in_order_are_served() -> None:
    assert {pair: rule.then for pair, rule in TABLE.items() if isinstance(rule, Serve)} == SERVED


def test_an_answer_belongs_to_its_request() -> None:
    answers = {rule.answer.type for (_, request), rule in TABLE.items() if isinstance(rule, Serve) and request is Auth}
    assert answers == {"auth_response"}
    pairs = {(request.type, rule.answer.type) for (_, request), rule in TABLE.items() if isinstance(rule, Serve)}
    assert pairs == {
        ("hello", "hello_response"),
        ("auth", "auth_response"),
        ("tunnel_info", "tunnel_response"),
        ("heartbeat", "heartbeat_response"),
    }


def test_every_state_but_the_end_and_every_request_can_be_reached() -> None:
    reached, frontier = set(), {State.CONNECTED}
    while frontier:
        reached |= frontier
        steps = {rule.then for (state, _), rule in TABLE.items() if state in reached and isinstance(rule, Serve)}
        frontier = steps - reached
    assert reached == set(State) - {State.CLOSED}
    assert {request for (_, request), rule in TABLE.items() if isinstance(rule, Serve)} == set(REQUESTS)


@pytest.mark.parametrize("pair", TABLE, ids=lambda pair: f"{pair[0].value}-{pair[1].type}")
def test_every_rule_names_a_requirement_of_the_catalogue(pair: tuple[State, type[Request]]) -> None:
    rule = TABLE[pair]
    assert find(rule.requirement).id == rule.requirement
    if isinstance(rule, Refuse):
        assert rule.code in ErrorCode
        assert rule.text


def test_only_a_hello_says_who_comes_before_anybody_is_known() -> None:
    for state in (State.CONNECTED, State.GREETED):
        rule = TABLE[state, TunnelInfo]
        assert isinstance(rule, Refuse)
        assert rule.code is ErrorCode.INVALID_TOKEN


def test_the_diagram_shows_every_state_and_every_rule() -> None:
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    for state in State:
        assert any(f" {state.value}" in line for line in lines)
    for (state, request), rule in TABLE.items():
        if isinstance(rule, Serve):
            assert f"    {state.value} --> {rule.then.value}: {request.type} / {rule.answer.type}" in lines
        elif state is not State.CLOSED:
            assert f"    {state.value} --> {state.value}: {request.type} / error {rule.code}" in lines
