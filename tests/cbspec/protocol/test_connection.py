"""Client and relay, wired in memory: order, blame, and no input that brings a relay to a halt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    AuthResponse,
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
)
from cbspec.protocol.state import REQUESTS, TABLE, Refuse, Serve, State
from cbspec.protocol.websocket import WebSocketFramer
from tests.cbspec.spelling import cut, requests, spelled

TUNNEL = TunnelInfo("tunnel_001", "tenant-001", 3389, "192.168.1.100", 3389)
SAMPLES: dict[type[Request], Request] = {
    Hello: Hello(),
    Auth: Auth("<jwt>"),
    TunnelInfo: TUNNEL,
    Heartbeat: Heartbeat(),
}
ANSWERS: dict[type[Answer], Answer] = {
    HelloResponse: HelloResponse(),
    AuthResponse: AuthResponse("user123", "tenant-001"),
    TunnelResponse: TunnelResponse("tunnel_001"),
    HeartbeatResponse: HeartbeatResponse(),
    Error: Error("server_unavailable", "later"),
}
OPEN_STATES = [State.CONNECTED, State.GREETED, State.AUTHENTICATED]
ERROR = Error("invalid_token", "no")


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


def relay_in(state: State) -> Connection:
    """Return a relay's end that requests brought into `state`."""
    relay = Connection(Role.RELAY, StreamFramer())
    for request in {State.CONNECTED: [], State.GREETED: [Hello], State.CLOSED: []}.get(state, [Hello, Auth]):
        relay.receive_data(line(SAMPLES[request]))
        event = relay.next_event()
        assert isinstance(event, RequestReceived)
        relay.send(success(event.request, event.rule))
    if state is State.CLOSED:
        relay.receive_end()
    assert relay.state is state
    return relay


def client_in(state: State) -> Connection:
    """Return a client's end that answers brought into `state`."""
    client = Connection(Role.CLIENT, StreamFramer())
    for request in {State.CONNECTED: [], State.GREETED: [Hello], State.CLOSED: []}.get(state, [Hello, Auth]):
        rule = TABLE[client.state, request]
        assert isinstance(rule, Serve)
        client.send(SAMPLES[request])
        client.receive_data(line(success(SAMPLES[request], rule)))
        assert isinstance(client.next_event(), AnswerReceived)
    if state is State.CLOSED:
        client.receive_end()
    assert client.state is state
    return client


# ---------------------------------------------------------------- both ends together


@pytest.mark.parametrize("wire", [streams, websockets])
@given(script=st.lists(st.tuples(requests, st.booleans()), max_size=6), data=st.data())
def test_two_ends_understand_each_other_however_the_bytes_are_split(
    wire: Callable[[], tuple[Framer, Framer]], script: list[tuple[Request, bool]], data: st.DataObject
) -> None:
    client, relay = (Connection(role, framer) for role, framer in zip((Role.CLIENT, Role.RELAY), wire(), strict=True))
    for request, served in script:
        rule = TABLE[client.state, type(request)]
        if isinstance(rule, Refuse):
            with pytest.raises(LocalProtocolError):
                client.send(request)
            continue
        event = _deliver(client.send(request), relay, data)
        assert event == RequestReceived(request, rule)
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
    assert len(events) == 1
    return events[0]


@given(spelled(st.just(TUNNEL)), st.data())
def test_a_request_is_understood_in_any_spelling(case: tuple[Message, bytes], data: st.DataObject) -> None:
    relay = relay_in(State.AUTHENTICATED)
    event = _deliver(case[1] + b"\n", relay, data)
    assert isinstance(event, RequestReceived)
    assert event.request == TUNNEL


# ---------------------------------------------------------------- the relay's end: the whole product

BROKEN: dict[bytes, tuple[str, str]] = {
    b'{"type":"hello"}\n': ("unknown_message_type", "CB-HEL-005"),
    b'{"type":"hello","version":"1.0","features":"tls"}\n': ("unknown_message_type", "CB-HEL-006"),
    b'{"type":"auth"}\n': ("invalid_token", "CB-AUT-014"),
    b'{"type":"auth","token":null}\n': ("invalid_token", "CB-AUT-015"),
    b'{"type":"tunnel_info","tunnel_id":"t"}\n': ("invalid_tunnel_info", "CB-TEN-005"),
    b'{"type":"teapot"}\n': ("unknown_message_type", "CB-UNK-001"),
    b'{"type":7}\n': ("unknown_message_type", "CB-UNK-002"),
    b'{"type":"error","code":"invalid_token","message":""}\n': ("unknown_message_type", "CB-UNK-003"),
    b'{"type":"heartbeat_response"}\n': ("unknown_message_type", "CB-UNK-003"),
    b"[]\n": ("unknown_message_type", "CB-MSG-005"),
    b"hello\n": ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat",}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","type":"heartbeat"}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":NaN}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":"\\ud800"}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":' + b"[" * 70 + b"]" * 70 + b"}\n": ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":"\xff"}\n': ("unknown_message_type", "CB-MSG-006"),
    b'\xef\xbb\xbf{"type":"heartbeat"}\n': ("unknown_message_type", "CB-MSG-006"),
    b"\x1f\x8b\x08\x00\n": ("unknown_message_type", "CB-MSG-006"),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("request_type", REQUESTS)
def test_a_relay_takes_every_request_in_every_state_by_the_table(state: State, request_type: type[Request]) -> None:
    relay, rule = relay_in(state), TABLE[state, request_type]
    relay.receive_data(line(SAMPLES[request_type]))
    event = relay.next_event()
    if state is State.CLOSED:
        assert event is None
    elif isinstance(rule, Refuse):
        assert event == RequestRefused(rule.code, rule.requirement, rule.text)
        relay.send(Error(rule.code, rule.text))
        assert relay.state is state
    else:
        assert event == RequestReceived(SAMPLES[request_type], rule)
        relay.send(success(SAMPLES[request_type], rule))
        assert relay.state is rule.then


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("wire", BROKEN)
def test_a_relay_refuses_what_is_no_valid_request_and_goes_on(state: State, wire: bytes) -> None:
    relay = relay_in(state)
    relay.receive_data(wire + line(Hello()))
    event = relay.next_event()
    assert isinstance(event, RequestRefused)
    assert (event.code, event.requirement) == BROKEN[wire]
    assert event.text
    relay.send(Error(event.code, event.text))
    assert relay.state is state
    after = relay.next_event()
    assert isinstance(after, RequestReceived)
    assert after.request == Hello()


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("request_type", REQUESTS)
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_a_relay_sends_only_the_answer_that_was_asked_for(
    state: State, request_type: type[Request], answer_type: type[Answer]
) -> None:
    relay, rule = relay_in(state), TABLE[state, request_type]
    relay.receive_data(line(SAMPLES[request_type]))
    relay.next_event()
    if answer_type is Error or (isinstance(rule, Serve) and rule.answer is answer_type):
        assert relay.send(ANSWERS[answer_type]) == line(ANSWERS[answer_type])
        assert not relay.busy
    else:
        with pytest.raises(LocalProtocolError) as caught:
            relay.send(ANSWERS[answer_type])
        assert caught.value.requirement == "CB-MSG-004"
        assert relay.busy


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_relay_sends_nothing_unasked_but_an_error_and_never_a_request(state: State) -> None:
    for answer in ANSWERS.values():
        relay = relay_in(state)
        if isinstance(answer, Error):
            assert relay.send(answer)
            assert relay.state is state
        else:
            with pytest.raises(LocalProtocolError, match="nobody asked"):
                relay.send(answer)
    for request in SAMPLES.values():
        with pytest.raises(LocalProtocolError) as caught:
            relay_in(state).send(request)
        assert caught.value.requirement == "CB-MSG-003"


def test_a_relay_answers_pipelined_requests_one_after_another() -> None:
    relay = Connection(Role.RELAY, StreamFramer())
    relay.receive_data(b"".join(line(SAMPLES[kind]) for kind in (Hello, Auth, Heartbeat, TunnelInfo)))
    seen: list[type[Request]] = []
    while (event := relay.next_event()) is not None:
        assert isinstance(event, RequestReceived)
        assert relay.busy
        assert relay.next_event() is None
        seen.append(type(event.request))
        relay.send(success(event.request, event.rule))
    assert seen == [Hello, Auth, Heartbeat, TunnelInfo]


@given(
    st.lists(st.one_of(st.binary(max_size=12), st.sampled_from([*BROKEN, *map(line, SAMPLES.values())])), max_size=8)
)
def test_no_input_brings_a_relay_to_a_halt(pieces: list[bytes]) -> None:
    relay = Connection(Role.RELAY, StreamFramer())
    for piece in pieces:
        relay.receive_data(piece)
        while (event := relay.next_event()) is not None:
            assert isinstance(event, RequestReceived | RequestRefused)
            relay.send(ERROR if isinstance(event, RequestRefused) else success(event.request, event.rule))
    # Whatever is half open ends at a line that begins with a brace; at worst it takes that line with it.
    relay.receive_data(b'\n"}\n' + line(Hello()) * 2)
    last = None
    while (event := relay.next_event()) is not None:
        last = event
        relay.send(ERROR)
    assert isinstance(last, RequestReceived)


def test_a_message_without_end_is_the_end() -> None:
    relay = Connection(Role.RELAY, StreamFramer(max_message=100))
    relay.receive_data(b"{" + b" " * 100)
    with pytest.raises(RemoteProtocolError) as caught:
        relay.next_event()
    assert caught.value.requirement == "CB-ROB-003"


# ---------------------------------------------------------------- the client's end: the whole product


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("request_type", REQUESTS)
def test_a_client_sends_every_request_in_every_state_by_the_table(state: State, request_type: type[Request]) -> None:
    client, rule = client_in(state), TABLE[state, request_type]
    if isinstance(rule, Serve):
        assert client.send(SAMPLES[request_type]) == line(SAMPLES[request_type])
        assert client.busy
        with pytest.raises(LocalProtocolError, match="no answer yet"):
            client.send(SAMPLES[request_type])
    else:
        with pytest.raises(LocalProtocolError) as caught:
            client.send(SAMPLES[request_type])
        assert caught.value.requirement == rule.requirement
        assert not client.busy


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("request_type", REQUESTS)
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_a_client_takes_the_answer_that_it_asked_for_and_no_other(
    state: State, request_type: type[Request], answer_type: type[Answer]
) -> None:
    client, rule, request = client_in(state), TABLE[state, request_type], SAMPLES[request_type]
    if isinstance(rule, Refuse):
        return
    client.send(request)
    client.receive_data(line(ANSWERS[answer_type]))
    if answer_type in (Error, rule.answer):
        assert client.next_event() == AnswerReceived(ANSWERS[answer_type], request)
        assert client.state is (state if answer_type is Error else rule.then)
        assert not client.busy
    else:
        with pytest.raises(RemoteProtocolError, match=f"a {answer_type.type} in answer to a {request.type}") as caught:
            client.next_event()
        assert caught.value.requirement == rule.requirement
        assert client.state is state


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_only_an_error_may_come_unasked(state: State, answer_type: type[Answer]) -> None:
    client = client_in(state)
    client.receive_data(line(ANSWERS[answer_type]))
    if answer_type is Error:
        assert client.next_event() == AnswerReceived(ANSWERS[Error], None)
        assert client.state is state
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            client.next_event()
        assert caught.value.requirement == "CB-MSG-004"


WRONG_ANSWERS: dict[type[Request], dict[bytes, str]] = {
    Hello: {
        b'{"type":"hello_response","features":[]}\n': "CB-HEL-002",
        b'{"type":"hello_response","version":1,"features":[]}\n': "CB-HEL-002",
        b'{"type":"hello_response","version":"1.0"}\n': "CB-HEL-003",
        b'{"type":"hello_response","version":"1.0","features":[1]}\n': "CB-HEL-003",
        b'{"type":"auth_response","status":"ok","client_id":"u","tenant_id":"t"}\n': "CB-HEL-001",
        b'{"type":"hello","version":"1.0","features":[]}\n': "CB-MSG-003",
        b'{"type":"welcome"}\n': "CB-MSG-003",
        b"{}\n": "CB-MSG-003",
        b"[]\n": "CB-MSG-002",
        b"null\n": "CB-MSG-002",
        b"220 relay ESMTP\r\n": "CB-MSG-002",
        b'{"type":"hello_response","version":"1.0","features":[],}\n': "CB-MSG-002",
        b'{"type":"hello_response","version":"1.0","features":[],"x":NaN}\n': "CB-MSG-002",
        b'{"type":"hello_response","version":"1.0","version":"1.0","features":[]}\n': "CB-MSG-002",
        b'\xef\xbb\xbf{"type":"hello_response","version":"1.0","features":[]}\n': "CB-MSG-001",
        b'{"type":"hello_response","version":"\xe9","features":[]}\n': "CB-MSG-001",
        b"\x1f\x8b\x08\x00\x00\n": "CB-MSG-001",
        b'{"type":"error","message":"m"}\n': "CB-ERR-001",
        b'{"type":"error","code":7,"message":"m"}\n': "CB-ERR-001",
        b'{"type":"error","code":"invalid_token"}\n': "CB-ERR-002",
        b"{" + b" " * (1 << 20): "CB-MSG-002",
    },
    Auth: {
        b'{"type":"auth_response","client_id":"u","tenant_id":"t"}\n': "CB-AUT-001",
        b'{"type":"auth_response","status":"error","client_id":"u","tenant_id":"t"}\n': "CB-AUT-001",
        b'{"type":"auth_response","status":"OK","client_id":"u","tenant_id":"t"}\n': "CB-AUT-001",
        b'{"type":"auth_response","status":"ok","tenant_id":"t"}\n': "CB-AUT-002",
        b'{"type":"auth_response","status":"ok","client_id":"u"}\n': "CB-AUT-003",
        b'{"type":"hello_response","version":"1.0","features":[]}\n': "CB-AUT-001",
    },
    TunnelInfo: {
        b'{"type":"tunnel_response","tunnel_id":"tunnel_001"}\n': "CB-TUN-001",
        b'{"type":"tunnel_response","status":"pending","tunnel_id":"tunnel_001"}\n': "CB-TUN-001",
        b'{"type":"tunnel_response","status":"ok"}\n': "CB-TUN-002",
        b'{"type":"tunnel_response","status":"ok","tunnel_id":"tunnel_002"}\n': "CB-TUN-002",
        b'{"type":"tunnel_response","status":"ok","tunnel_id":"TUNNEL_001"}\n': "CB-TUN-002",
        b'{"type":"heartbeat_response"}\n': "CB-TUN-001",
    },
    Heartbeat: {
        b'{"type":"tunnel_response","status":"ok","tunnel_id":"tunnel_001"}\n': "CB-HBT-001",
        b'{"type":"heartbeat"}\n': "CB-MSG-003",
    },
}


@pytest.mark.parametrize(
    ("request_type", "wire", "requirement"),
    [(kind, wire, requirement) for kind, wrong in WRONG_ANSWERS.items() for wire, requirement in wrong.items()],
    ids=lambda value: str(value)[:60],
)
def test_a_client_blames_a_wrong_answer_on_its_own_requirement(
    request_type: type[Request], wire: bytes, requirement: str
) -> None:
    client = client_in({Hello: State.CONNECTED, Auth: State.GREETED}.get(request_type, State.AUTHENTICATED))
    client.send(SAMPLES[request_type])
    client.receive_data(wire)
    with pytest.raises(RemoteProtocolError) as caught:
        client.next_event()
    assert caught.value.requirement == requirement


def test_a_second_answer_is_one_too_many() -> None:
    client = client_in(State.AUTHENTICATED)
    client.send(Heartbeat())
    client.receive_data(line(HeartbeatResponse()) * 2)
    assert isinstance(client.next_event(), AnswerReceived)
    with pytest.raises(RemoteProtocolError) as caught:
        client.next_event()
    assert caught.value.requirement == "CB-MSG-004"


def test_a_code_that_is_not_on_the_list_is_an_error_like_others() -> None:
    client = client_in(State.CONNECTED)
    client.send(Hello())
    client.receive_data(b'{"type":"error","code":"teapot","message":""}\n')
    assert client.next_event() == AnswerReceived(Error("teapot", ""), Hello())


@pytest.mark.parametrize("answer_type", ANSWERS)
def test_a_client_never_sends_an_answer(answer_type: type[Answer]) -> None:
    with pytest.raises(LocalProtocolError, match="never sends"):
        client_in(State.AUTHENTICATED).send(ANSWERS[answer_type])


def test_what_cannot_be_sent_changes_nothing() -> None:
    client = client_in(State.GREETED)
    with pytest.raises(LocalProtocolError) as caught:
        client.send(Auth("\ud800"))
    assert caught.value.requirement == "CB-MSG-001"
    assert not client.busy
    assert client.send(Auth("<jwt>"))


# ---------------------------------------------------------------- the end, and parts that are replaced


def test_an_end_is_clean_only_where_nothing_was_left_unfinished() -> None:
    assert client_in(State.AUTHENTICATED).receive_end() == ConnectionEnded(clean=True)
    assert relay_in(State.GREETED).receive_end() == ConnectionEnded(clean=True)
    waiting = client_in(State.AUTHENTICATED)
    waiting.send(Heartbeat())
    assert waiting.receive_end() == ConnectionEnded(clean=False)
    half = relay_in(State.GREETED)
    half.receive_data(b'{"type":"hea')
    assert half.next_event() is None
    assert half.receive_end() == ConnectionEnded(clean=False)
    assert half.state is State.CLOSED


def test_white_space_is_no_unfinished_message() -> None:
    relay = relay_in(State.GREETED)
    relay.receive_data(b"\r\n")
    assert relay.receive_end() == ConnectionEnded(clean=True)


def test_table_and_reader_can_be_replaced() -> None:
    table = {**TABLE, (State.CONNECTED, Heartbeat): Serve(HeartbeatResponse, State.CONNECTED, "CB-HBT-001")}
    frames: list[Any] = []

    def read(frame: Any, sender: Role) -> Message:  # noqa: ANN401 - only noted
        frames.append((frame.text, sender))
        return Heartbeat()

    relay = Connection(Role.RELAY, StreamFramer(), read=read, table=table)
    relay.receive_data(b"anything\n")
    assert isinstance(relay.next_event(), RequestReceived)
    assert frames == [(b"anything", Role.CLIENT)]
    assert relay.send(HeartbeatResponse())


def test_refusals_carry_codes_of_the_list() -> None:
    assert {code for code, _ in BROKEN.values()} <= {code.value for code in ErrorCode}
