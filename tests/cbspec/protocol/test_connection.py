"""Both ends of a connection in memory: the order of messages, and the side that breaks a rule."""

from __future__ import annotations

from collections.abc import Callable

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
from cbspec.protocol.framing import RawMessage, StreamFramer
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
ERROR = Error("invalid_token", "no")


EACH_STATE = pytest.mark.parametrize("state", State)
EACH_OPEN_STATE = pytest.mark.parametrize("state", [State.CONNECTED, State.GREETED, State.AUTHENTICATED])
EACH_REQUEST = pytest.mark.parametrize("request_type", REQUESTS)


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


def asked(state: State, data: bytes) -> tuple[Connection, object]:
    """Return a relay in `state` that has received `data`, and its event."""
    relay = end_in(state, Role.RELAY)
    relay.receive_data(data)
    return relay, relay.next_event()


def received(state: State, request: Request | None, data: bytes) -> tuple[Connection, object]:
    """Return a client in `state` that has sent a request and received `data`, and its event, or the rule broken."""
    client = end_in(state, Role.CLIENT)
    if request is not None:
        client.send(request)
    client.receive_data(data)
    try:
        return client, client.next_event()
    except RemoteProtocolError as error:
        return client, error.requirement


# ---------------------------------------------------------------- both ends together


@pytest.mark.parametrize("wire", [streams, websockets])
@given(script=st.lists(st.tuples(requests, st.booleans()), max_size=6), data=st.data())
def test_both_ends_agree_however_the_bytes_are_split(
    wire: Callable[[], tuple[Framer, Framer]], script: list[tuple[Request, bool]], data: st.DataObject
) -> None:
    client, relay = (Connection(role, framer) for role, framer in zip((Role.CLIENT, Role.RELAY), wire(), strict=True))
    for request, served in script:
        rule = TABLE[client.state, type(request)]
        if isinstance(rule, Refuse):
            with pytest.raises(LocalProtocolError):
                client.send(request)
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


@given(spelled(st.just(TUNNEL)), st.data())
def test_a_request_is_understood_in_any_spelling(case: tuple[Message, bytes], data: st.DataObject) -> None:
    event = _deliver(case[1] + b"\n", end_in(State.AUTHENTICATED, Role.RELAY), data)
    assert isinstance(event, RequestReceived)
    assert event.request == TUNNEL


# ---------------------------------------------------------------- the relay's end: every state and input

# One text for each reader: messages, JSON, UTF-8 and framing, which have tests of their own.
BROKEN: dict[bytes, tuple[str, str]] = {
    b'{"type":"hello"}\n': ("unknown_message_type", "CB-HEL-005"),
    b'{"type":"auth"}\n': ("invalid_token", "CB-AUT-014"),
    b'{"type":"tunnel_info","tunnel_id":"t"}\n': ("invalid_tunnel_info", "CB-TEN-005"),
    b'{"type":"heartbeat_response"}\n': ("unknown_message_type", "CB-UNK-003"),
    b"[]\n": ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat",}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","type":"heartbeat"}\n': ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":' + b"[" * 70 + b"]" * 70 + b"}\n": ("unknown_message_type", "CB-MSG-005"),
    b'{"type":"heartbeat","x":"\xff"}\n': ("unknown_message_type", "CB-MSG-006"),
    b"\x1f\x8b\x08\x00\n": ("unknown_message_type", "CB-MSG-006"),
}


@EACH_STATE
@EACH_REQUEST
def test_a_relay_follows_the_table_and_sends_the_requested_answer_only(
    state: State, request_type: type[Request]
) -> None:
    rule = TABLE[state, request_type]
    for answer_type, answer in ANSWERS.items():
        relay, event = asked(state, line(SAMPLES[request_type]))
        if state is State.CLOSED:
            assert event is None
        elif isinstance(rule, Refuse):
            assert event == RequestRefused(rule.code, rule.requirement, rule.text)
        else:
            assert event == RequestReceived(SAMPLES[request_type], rule)
        served = isinstance(rule, Serve) and rule.answer is answer_type
        if served or answer_type is Error:
            assert relay.send(answer) == line(answer)
            assert not relay.busy
            assert relay.state is (rule.then if served and isinstance(rule, Serve) else state)
        else:
            with pytest.raises(LocalProtocolError) as caught:
                relay.send(answer)
            assert caught.value.requirement == "CB-MSG-004"
            assert relay.busy == (state is not State.CLOSED)


@EACH_OPEN_STATE
@pytest.mark.parametrize("wire", BROKEN)
def test_a_relay_refuses_an_invalid_message_and_continues(state: State, wire: bytes) -> None:
    relay, event = asked(state, wire + line(Hello()))
    assert isinstance(event, RequestRefused)
    assert (event.code, event.requirement) == BROKEN[wire]
    assert event.code in ErrorCode
    assert event.text
    relay.send(Error(event.code, event.text))
    assert relay.state is state
    after = relay.next_event()
    assert isinstance(after, RequestReceived)
    assert after.request == Hello()


@EACH_OPEN_STATE
def test_a_relay_sends_only_errors_without_a_request_and_never_a_request(state: State) -> None:
    relay = end_in(state, Role.RELAY)
    refused: list[Message] = [HelloResponse(), *SAMPLES.values()]
    for message in refused:
        with pytest.raises(LocalProtocolError) as caught:
            relay.send(message)
        assert caught.value.requirement == ("CB-MSG-003" if isinstance(message, Request) else "CB-MSG-004")
    assert relay.send(ERROR) == line(ERROR)
    assert relay.state is state


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
def test_a_relay_recovers_from_any_input(pieces: list[bytes]) -> None:
    relay = Connection(Role.RELAY, StreamFramer())
    for piece in pieces:
        relay.receive_data(piece)
        while (event := relay.next_event()) is not None:
            assert isinstance(event, RequestReceived | RequestRefused)
            relay.send(ERROR if isinstance(event, RequestRefused) else success(event.request, event.rule))
    # An incomplete message ends at a line that begins with a brace; at worst it takes that line with it.
    relay.receive_data(b'\n"}\n' + line(Hello()) * 2)
    last = None
    while (event := relay.next_event()) is not None:
        last = event
        relay.send(ERROR)
    assert isinstance(last, RequestReceived)


def test_an_oversized_message_ends_the_relays_input() -> None:
    relay = Connection(Role.RELAY, StreamFramer(max_message=100))
    relay.receive_data(b"{" + b" " * 100)
    with pytest.raises(RemoteProtocolError) as caught:
        relay.next_event()
    assert caught.value.requirement == "CB-ROB-003"


# ---------------------------------------------------------------- the client's end: every state and input


@EACH_STATE
@EACH_REQUEST
def test_a_client_sends_requests_by_the_table(state: State, request_type: type[Request]) -> None:
    client, rule, request = end_in(state, Role.CLIENT), TABLE[state, request_type], SAMPLES[request_type]
    if isinstance(rule, Serve):
        assert client.send(request) == line(request)
        assert client.busy
        with pytest.raises(LocalProtocolError, match="no answer yet"):
            client.send(request)
    else:
        with pytest.raises(LocalProtocolError) as caught:
            client.send(request)
        assert caught.value.requirement == rule.requirement
        assert not client.busy


@EACH_OPEN_STATE
@EACH_REQUEST
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_a_client_accepts_the_requested_answer_or_an_error(
    state: State, request_type: type[Request], answer_type: type[Answer]
) -> None:
    rule, request = TABLE[state, request_type], SAMPLES[request_type]
    if isinstance(rule, Refuse):
        return
    client, event = received(state, request, line(ANSWERS[answer_type]))
    if answer_type in (Error, rule.answer):
        assert event == AnswerReceived(ANSWERS[answer_type], request)
        assert client.state is (state if answer_type is Error else rule.then)
        assert not client.busy
    else:
        assert event == rule.requirement
        assert client.state is state


@EACH_OPEN_STATE
@pytest.mark.parametrize("answer_type", ANSWERS)
def test_only_an_error_may_be_unsolicited(state: State, answer_type: type[Answer]) -> None:
    client, event = received(state, None, line(ANSWERS[answer_type]))
    assert event == (AnswerReceived(ANSWERS[Error], None) if answer_type is Error else "CB-MSG-004")
    assert client.state is state


WRONG_ANSWERS: list[tuple[type[Request], bytes, str]] = [
    (Hello, b'{"type":"hello_response","features":[]}\n', "CB-HEL-002"),
    (Hello, b'{"type":"hello","version":"1.0","features":[]}\n', "CB-MSG-003"),
    (Hello, b"[]\n", "CB-MSG-002"),
    (Hello, b"220 relay ESMTP\r\n", "CB-MSG-002"),
    (Hello, b'{"type":"hello_response","version":"1.0","features":[],}\n', "CB-MSG-002"),
    (Hello, b'{"type":"hello_response","version":"\xe9","features":[]}\n', "CB-MSG-001"),
    (Hello, b"\x1f\x8b\x08\x00\x00\n", "CB-MSG-001"),
    (Hello, b'{"type":"error","code":"invalid_token"}\n', "CB-ERR-002"),
    (Hello, b"{" + b" " * (1 << 20), "CB-MSG-002"),
    (Auth, b'{"type":"auth_response","status":"error","client_id":"u","tenant_id":"t"}\n', "CB-AUT-001"),
    (Auth, b'{"type":"auth_response","status":"OK","client_id":"u","tenant_id":"t"}\n', "CB-AUT-001"),
    (TunnelInfo, b'{"type":"tunnel_response","status":"pending","tunnel_id":"tunnel_001"}\n', "CB-TUN-001"),
    (TunnelInfo, b'{"type":"tunnel_response","status":"ok","tunnel_id":"TUNNEL_001"}\n', "CB-TUN-002"),
]


@pytest.mark.parametrize(("request_type", "wire", "requirement"), WRONG_ANSWERS, ids=lambda value: str(value)[:60])
def test_a_wrong_answer_breaks_its_own_requirement(request_type: type[Request], wire: bytes, requirement: str) -> None:
    state = {Hello: State.CONNECTED, Auth: State.GREETED}.get(request_type, State.AUTHENTICATED)
    assert received(state, SAMPLES[request_type], wire)[1] == requirement


def test_a_client_rejects_a_second_answer() -> None:
    client, event = received(State.AUTHENTICATED, Heartbeat(), line(HeartbeatResponse()) * 2)
    assert isinstance(event, AnswerReceived)
    with pytest.raises(RemoteProtocolError) as caught:
        client.next_event()
    assert caught.value.requirement == "CB-MSG-004"


def test_an_unknown_error_code_is_an_error_like_others() -> None:
    event = received(State.CONNECTED, Hello(), b'{"type":"error","code":"teapot","message":""}\n')[1]
    assert event == AnswerReceived(Error("teapot", ""), Hello())


def test_a_client_never_sends_an_answer() -> None:
    client = end_in(State.AUTHENTICATED, Role.CLIENT)
    for answer in ANSWERS.values():
        with pytest.raises(LocalProtocolError, match="never sends"):
            client.send(answer)


def test_a_message_that_cannot_be_encoded_changes_nothing() -> None:
    client = end_in(State.GREETED, Role.CLIENT)
    with pytest.raises(LocalProtocolError) as caught:
        client.send(Auth("\ud800"))
    assert caught.value.requirement == "CB-MSG-001"
    assert not client.busy
    assert client.send(Auth("<jwt>"))


# ---------------------------------------------------------------- the end, and replaced parts


def test_an_end_is_clean_if_no_message_and_no_request_is_incomplete() -> None:
    assert end_in(State.AUTHENTICATED, Role.CLIENT).receive_end() == ConnectionEnded(clean=True)
    assert asked(State.GREETED, b"\r\n")[0].receive_end() == ConnectionEnded(clean=True)
    waiting = end_in(State.AUTHENTICATED, Role.CLIENT)
    waiting.send(Heartbeat())
    assert waiting.receive_end() == ConnectionEnded(clean=False)
    half, event = asked(State.GREETED, b'{"type":"hea')
    assert event is None
    assert half.receive_end() == ConnectionEnded(clean=False)
    assert half.state is State.CLOSED


def test_table_reader_and_text_can_be_replaced() -> None:
    table = {**TABLE, (State.CONNECTED, Heartbeat): Serve(HeartbeatResponse, State.CONNECTED, "CB-HBT-001")}
    frames: list[tuple[bytes, Role]] = []

    def read(frame: RawMessage, sender: Role) -> Message:
        frames.append((frame.text, sender))
        return Heartbeat()

    relay = Connection(Role.RELAY, StreamFramer(), read=read, table=table)
    relay.receive_data(b"anything\n")
    assert isinstance(relay.next_event(), RequestReceived)
    assert frames == [(b"anything", Role.CLIENT)]
    assert relay.send(HeartbeatResponse(), b"any text") == b"any text\n"
    assert not relay.busy
