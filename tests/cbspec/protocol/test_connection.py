"""The state table, and both ends of a connection in memory: the order of messages, and the side that breaks a rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbspec.catalogue.requirements import find
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.connection import (
    AnswerReceived,
    Connection,
    ConnectionEnded,
    Framer,
    LocalProtocolError,
    RemoteProtocolError,
    RequestReceived,
    RequestRefused,
)
from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.messages import (
    Answer,
    Auth,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    Request,
    Role,
    TunnelInfo,
    TunnelResponse,
    encode,
    parse,
)
from cbspec.protocol.state import REQUESTS, SUCCESS_TYPES, TABLE, Refuse, Serve, State
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_schemas import examples
from tests.cbspec.spelling import cut, requests

OF_PAGE = [
    parse(json.loads(each.text), Role.CLIENT if each.direction == "client" else Role.RELAY)
    for each in examples()
    if each.name.endswith("-page")
]
"""The messages of the specification."""
SAMPLES: dict[type[Request], Request] = {type(each): each for each in OF_PAGE if isinstance(each, Request)}
ANSWERS: dict[type[Answer], Answer] = {type(each): each for each in OF_PAGE if isinstance(each, Answer)}
ERROR = Error("invalid_token", "no")
# The specification's order, compared with a hand-written list of the served requests.
SERVED = {
    (State.CONNECTED, Hello): State.GREETED,
    (State.GREETED, Hello): State.GREETED,
    (State.GREETED, Auth): State.AUTHENTICATED,
    (State.AUTHENTICATED, Hello): State.AUTHENTICATED,
    (State.AUTHENTICATED, TunnelInfo): State.AUTHENTICATED,
    (State.AUTHENTICATED, Heartbeat): State.AUTHENTICATED,
}

EACH_OPEN_STATE = pytest.mark.parametrize("state", [State.CONNECTED, State.GREETED, State.AUTHENTICATED])


def success(request: Request, rule: Serve) -> Answer:
    return TunnelResponse(request.tunnel_id) if isinstance(request, TunnelInfo) else ANSWERS[rule.answer]


def streams() -> tuple[Framer, Framer]:
    return StreamFramer(), StreamFramer()


def websockets() -> tuple[Framer, Framer]:
    client, relay = WebSocketFramer.client("relay"), WebSocketFramer.server()
    relay.feed(client.data_to_send())
    client.feed(relay.data_to_send())
    return client, relay


def line(message: Message) -> bytes:
    return encode(message) + b"\n"


def end_in(state: State, role: Role) -> Connection:
    """Return an end whose exchanges led to `state`."""
    client, relay = Connection(Role.CLIENT, StreamFramer()), Connection(Role.RELAY, StreamFramer())
    requests = {State.CONNECTED: [], State.GREETED: [Hello], State.CLOSED: []}.get(state, [Hello, Auth])
    for request_type in requests:
        relay.receive_data(client.send(SAMPLES[request_type]))
        event = relay.next_event()
        assert isinstance(event, RequestReceived)
        client.receive_data(relay.send(success(event.request, event.rule)))
        assert isinstance(client.next_event(), AnswerReceived)
    end = client if role is Role.CLIENT else relay
    if state is State.CLOSED:
        end.receive_end()
    assert end.state is state
    return end


def refused(end: Connection, message: Message) -> str:
    """Return the requirement that an end would break by sending a message."""
    with pytest.raises(LocalProtocolError) as caught:
        end.send(message)
    return caught.value.requirement


def received(client: Connection, data: bytes) -> object:
    """Return the event of a client that receives data, or the requirement that the relay breaks."""
    client.receive_data(data)
    try:
        return client.next_event()
    except RemoteProtocolError as error:
        return error.requirement


def test_every_pair_of_state_and_request_has_a_rule_with_a_requirement() -> None:
    assert set(TABLE) == set(product(State, REQUESTS))
    pairs = {(request.type, rule.answer.type) for (_, request), rule in TABLE.items() if isinstance(rule, Serve)}
    assert pairs == set(SUCCESS_TYPES.items())
    assert {pair: rule.then for pair, rule in TABLE.items() if isinstance(rule, Serve)} == SERVED
    for rule in TABLE.values():
        assert find(rule.requirement).id == rule.requirement
        assert isinstance(rule, Serve) or (rule.code in ErrorCode and rule.text)


@pytest.mark.parametrize("wire", [streams, websockets])
@given(script=st.lists(st.tuples(requests, st.booleans()), max_size=6), data=st.data())
def test_both_ends_agree_however_the_bytes_are_split(
    wire: Callable[[], tuple[Framer, Framer]], script: list[tuple[Request, bool]], data: st.DataObject
) -> None:
    client, relay = (Connection(role, framer) for role, framer in zip((Role.CLIENT, Role.RELAY), wire(), strict=True))
    for request, served in script:
        rule = TABLE[client.state, type(request)]
        if isinstance(rule, Refuse):
            assert refused(client, request) == rule.requirement
            continue
        assert _deliver(client.send(request), relay, data) == RequestReceived(request, rule)
        answer = success(request, rule) if served else ERROR
        assert _deliver(relay.send(answer), client, data) == AnswerReceived(answer, request)
        assert client.state is relay.state is (rule.then if served else client.state)
        assert not client.busy
        assert not relay.busy


def _deliver(wire: bytes, to: Connection, data: st.DataObject) -> object:
    events = []
    for piece in data.draw(cut(wire)):
        to.receive_data(piece)
        while (event := to.next_event()) is not None:
            events.append(event)
    (only,) = events
    return only


# One text for each reader: messages, JSON, UTF-8 and framing, which have tests of their own.
BROKEN: dict[bytes, tuple[str, str]] = {
    b'{"type":"auth"}\n': ("invalid_token", "CB-AUT-014"),
    b"[]\n": ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","type":"heartbeat"}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":"\xff"}\n': ("unknown_message_type", "CB-MSG-006"),
    b"\x1f\x8b\x08\x00\n": ("unknown_message_type", "CB-MSG-006"),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("request_type", REQUESTS)
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_both_ends_follow_the_table_and_exchange_the_right_answer_only(
    state: State, request_type: type[Request], answer_type: type[Answer]
) -> None:
    rule, request, answer = TABLE[state, request_type], SAMPLES[request_type], ANSWERS[answer_type]
    relay, client = end_in(state, Role.RELAY), end_in(state, Role.CLIENT)
    served = isinstance(rule, Serve) and rule.answer is answer_type
    then = rule.then if served and isinstance(rule, Serve) else state
    relay.receive_data(line(request))
    event = relay.next_event()
    if served or answer_type is Error:
        assert relay.send(answer) == line(answer)
    else:
        assert refused(relay, answer) == "CB-MSG-004"
    assert relay.busy is (state is not State.CLOSED and not served and answer_type is not Error)
    assert refused(client, answer) == "CB-UNK-003"
    if isinstance(rule, Refuse):
        refusal = RequestRefused(rule.code, rule.requirement, rule.text)
        assert event == (None if state is State.CLOSED else refusal)
        assert refused(client, request) == rule.requirement
    else:
        assert event == RequestReceived(request, rule)
        assert client.send(request) == line(request)
        assert refused(client, request) == "CB-MSG-010"
        accepted = AnswerReceived(answer, request) if served or answer_type is Error else rule.requirement
        assert received(client, line(answer)) == accepted
        assert client.busy is (accepted == rule.requirement)
    assert relay.state is client.state is then


@EACH_OPEN_STATE
@pytest.mark.parametrize("wire", BROKEN)
def test_a_relay_refuses_an_invalid_message_before_it_reads_the_next(state: State, wire: bytes) -> None:
    relay = end_in(state, Role.RELAY)
    relay.receive_data(wire + line(Hello()))
    event = relay.next_event()
    assert isinstance(event, RequestRefused)
    assert (event.code, event.requirement) == BROKEN[wire]
    assert event.text
    assert relay.busy
    assert relay.next_event() is None
    relay.send(Error(event.code, event.text))
    assert relay.state is state
    after = relay.next_event()
    assert isinstance(after, RequestReceived)
    assert after.request == Hello()


@EACH_OPEN_STATE
def test_a_relay_sends_only_errors_without_a_request_and_never_a_request(state: State) -> None:
    relay = end_in(state, Role.RELAY)
    assert {refused(relay, message) for message in SAMPLES.values()} == {"CB-MSG-003"}
    assert refused(relay, HelloResponse()) == "CB-MSG-004"
    assert relay.send(ERROR) == line(ERROR)
    assert relay.state is state


@given(
    st.lists(st.one_of(st.binary(max_size=12), st.sampled_from([*BROKEN, *map(line, SAMPLES.values())])), max_size=8)
)
def test_a_relay_recovers_from_any_input(pieces: list[bytes]) -> None:
    relay = Connection(Role.RELAY, StreamFramer())
    # An incomplete message ends at a line that begins with a brace; at worst it takes that line with it.
    for piece in [*pieces, b'\n"}\n' + line(Hello()) * 2]:
        relay.receive_data(piece)
        last = None
        while (event := relay.next_event()) is not None:
            assert isinstance(event, RequestReceived | RequestRefused)
            last = event
            relay.send(ERROR if isinstance(event, RequestRefused) else success(event.request, event.rule))
    assert isinstance(last, RequestReceived)


@pytest.mark.parametrize(("role", "requirement"), [(Role.RELAY, "CB-ROB-003"), (Role.CLIENT, "CB-MSG-002")])
def test_an_oversized_message_ends_the_input(role: Role, requirement: str) -> None:
    end = Connection(role, StreamFramer(max_message=100))
    end.receive_data(b"{" + b" " * 100)
    with pytest.raises(RemoteProtocolError) as caught:
        end.next_event()
    assert caught.value.requirement == requirement


@EACH_OPEN_STATE
def test_only_an_error_may_be_unsolicited(state: State) -> None:
    for answer in ANSWERS.values():
        event = received(end_in(state, Role.CLIENT), line(answer))
        assert event == (AnswerReceived(answer, None) if isinstance(answer, Error) else "CB-MSG-004")


WRONG_ANSWERS: list[tuple[type[Request], bytes, str]] = [
    (Hello, b'{"type":"hello_response","features":[]}\n', "CB-HEL-002"),
    (Hello, b"220 relay ESMTP\r\n", "CB-MSG-002"),
    (Hello, b'{"type":"hello_response","version":"1.0","features":[],}\n', "CB-MSG-002"),
    (Hello, b'{"type":"hello_response","version":"\xe9","features":[]}\n', "CB-MSG-001"),
    (Hello, b"\x1f\x8b\x08\x00\x00\n", "CB-MSG-001"),
    (Auth, b'{"type":"auth_response","status":"OK","client_id":"u","tenant_id":"t"}\n', "CB-AUT-001"),
    (TunnelInfo, b'{"type":"tunnel_response","status":"pending","tunnel_id":"tunnel_001"}\n', "CB-TUN-001"),
    (TunnelInfo, b'{"type":"tunnel_response","status":"ok","tunnel_id":"TUNNEL_001"}\n', "CB-TUN-002"),
]


@pytest.mark.parametrize(("request_type", "wire", "requirement"), WRONG_ANSWERS, ids=lambda value: str(value)[:60])
def test_a_wrong_answer_breaks_its_own_requirement(request_type: type[Request], wire: bytes, requirement: str) -> None:
    state = {Hello: State.CONNECTED, Auth: State.GREETED}.get(request_type, State.AUTHENTICATED)
    client = end_in(state, Role.CLIENT)
    client.send(SAMPLES[request_type])
    assert received(client, wire) == requirement


def test_a_message_that_cannot_be_encoded_changes_nothing() -> None:
    client = end_in(State.GREETED, Role.CLIENT)
    assert refused(client, Auth("\ud800")) == "CB-MSG-001"
    assert client.send(Auth("<jwt>"))


def test_an_end_is_clean_if_no_message_and_no_request_is_incomplete() -> None:
    for data, clean in ((b"", True), (b"\r\n", True), (b'{"type":"hea', False)):
        relay = end_in(State.AUTHENTICATED, Role.RELAY)
        relay.receive_data(data)
        assert relay.next_event() is None
        assert relay.receive_end() == ConnectionEnded(clean)
        assert relay.state is State.CLOSED
    waiting = end_in(State.AUTHENTICATED, Role.CLIENT)
    waiting.send(Heartbeat())
    assert waiting.receive_end() == ConnectionEnded(clean=False)


def test_table_reader_and_text_can_be_replaced() -> None:
    table = {**TABLE, (State.CONNECTED, Heartbeat): Serve(HeartbeatResponse, State.CONNECTED, "CB-HBT-001")}
    relay = Connection(Role.RELAY, StreamFramer(), read=lambda frame, sender: Heartbeat(), table=table)
    relay.receive_data(b"anything\n")
    assert isinstance(relay.next_event(), RequestReceived)
    assert relay.send(HeartbeatResponse(), b"any text") == b"any text\n"
