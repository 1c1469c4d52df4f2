"""The client against a scripted relay: sessions, refusals, misbehaviour, misuse and cancellation."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from cbspec.protocol.messages import (
    Auth,
    AuthResponse,
    Error,
    Heartbeat,
    HeartbeatResponse,
    Hello,
    HelloResponse,
    Message,
    TunnelInfo,
    TunnelResponse,
)
from cbspec.protocol.state import State
from cbspec_client import (
    AnswerTimeout,
    ConnectionLost,
    Misuse,
    Passed,
    RelayError,
    RelayMisbehaved,
    ServerUnavailable,
    Transport,
    Tunnel,
)
from tests.reference_client.conftest import TIMEOUTS, TOKEN, Connected, authenticate, whole_session
from tests.support.relay import EndStep, Raw, Step


@pytest.mark.parametrize("transport", Transport)
async def test_a_whole_session(connected: Connected, transport: Transport) -> None:
    passed: list[Passed] = []
    async with connected(transport=transport, exchange=passed.append) as (client, server):
        states = [client.state]
        assert await client.hello(["tls", "heartbeat"]) == HelloResponse()
        states.append(client.state)
        assert await client.authenticate(TOKEN) == AuthResponse("user123", "tenant-001")
        states.append(client.state)
        assert client.tenant_id == "tenant-001"
        tunnel = await client.open_tunnel("rdp", 3389, "192.168.1.100", 3390)
        assert tunnel == Tunnel("rdp", "tenant-001", 3389, "192.168.1.100", 3390)
        await client.open_tunnel("other", 1, "host", 2, tenant_id="tenant-009")
        assert await client.heartbeat() >= 0
    assert [*states, client.state] == list(State)
    requests = [
        Hello(features=("tls", "heartbeat")),
        Auth(TOKEN),
        TunnelInfo("rdp", "tenant-001", 3389, "192.168.1.100", 3390),
        TunnelInfo("other", "tenant-009", 1, "host", 2),
        Heartbeat(),
    ]
    assert server.messages == requests
    assert [each.message for each in passed if each.sent] == requests
    assert [each.sent for each in passed] == [True, False] * len(requests)
    assert TOKEN not in repr(passed)
    assert server.endings == ["close_notify"]
    with pytest.raises(ConnectionLost, match="closed here"):
        await client.heartbeat()


async def test_a_refused_auth_does_not_authenticate_and_shows_no_token(connected: Connected) -> None:
    async with connected({Auth: [Error("invalid_token", f"bad token {TOKEN}!")]}) as (client, server):
        await client.hello()
        for _ in range(2):
            with pytest.raises(RelayError, match=r"bad token \*\*\*!") as caught:
                await client.authenticate(TOKEN)
            assert TOKEN not in f"{caught.value} {caught.value!r} {caught.value.message}"
        with pytest.raises(Misuse, match="authenticate first"):
            await client.open_tunnel("t", 1, "h", 2)
    assert [type(message) for message in server.messages] == [Hello, Auth, Auth]


async def test_an_unsolicited_answer_or_error_is_raised_by_the_next_call(connected: Connected) -> None:
    script: dict[type[Message], list[Step]]
    script = {Heartbeat: [Raw([b'{"type":"heartbeat_response"}{"type":"heartbeat_response"}\n'])]}
    async with connected(script) as (client, _):
        await authenticate(client)
        await client.heartbeat()
        with pytest.raises(RelayMisbehaved, match="CB-MSG-004"):
            await client.heartbeat()
    script = {Hello: [HelloResponse(), Error("server_unavailable", "draining"), EndStep.CLOSE]}
    async with connected(script) as (client, server):
        await client.hello()
        await server.ended()
        with pytest.raises(ServerUnavailable):
            await client.authenticate(TOKEN)
        for text in ("closed", "ended already"):
            with pytest.raises(ConnectionLost, match=text):
                await client.authenticate(TOKEN)
    assert [type(message) for message in server.messages] == [Hello]


OTHER_TENANT = AuthResponse("user123", "tenant-002")
MISBEHAVIOUR: list[tuple[type[Message], Step, str]] = [
    (Hello, b'{"type":"hello_response",}', "CB-MSG-002"),
    (Hello, b'{"type":"hello_response","version":"\xff","features":[]}', "CB-MSG-001"),
    (Hello, b'{"type":"hello_response","version":"1.0"}', "CB-HEL-003"),
    (Hello, HeartbeatResponse(), "CB-HEL-001"),
    (Hello, b'{"type":"heartbeat"}', "CB-MSG-003"),
    (Auth, HelloResponse(), "CB-AUT-001"),
    (Auth, replace(OTHER_TENANT, status="failed"), "CB-AUT-001"),
    (Auth, OTHER_TENANT, "CB-AUT-003"),
    (TunnelInfo, TunnelResponse("another"), "CB-TUN-002"),
    (TunnelInfo, TunnelResponse("t", status="pending"), "CB-TUN-001"),
    (Heartbeat, TunnelResponse("t"), "CB-HBT-001"),
    (Heartbeat, Raw([b"{" + b" " * (1 << 20)]), "CB-MSG-002"),
    (Heartbeat, b'{"type":"error","message":"m"}', "CB-ERR-001"),
]


async def test_a_wrong_answer_names_its_requirement_and_ends_the_connection(connected: Connected) -> None:
    for kind, step, requirement in MISBEHAVIOUR:
        async with connected({kind: [step]}) as (client, server):
            with pytest.raises(RelayMisbehaved) as caught:
                await whole_session(client)
            assert caught.value.requirement == requirement, step
            received = len(server.messages)
            with pytest.raises(ConnectionLost, match=requirement):
                await client.heartbeat()
            assert client.state is State.CLOSED
        assert len(server.messages) == received
        assert isinstance(server.messages[-1], kind)


@pytest.mark.parametrize("end", EndStep)
async def test_an_end_within_an_answer_is_noticed(connected: Connected, end: EndStep) -> None:
    async with connected({Heartbeat: [Raw([b'{"type":"heartbeat_res']), end]}) as (client, _):
        await authenticate(client)
        for text in (".", "ended already"):
            with pytest.raises(ConnectionLost, match=text):
                await client.heartbeat()


async def test_a_missing_answer_ends_the_connection(connected: Connected) -> None:
    async with connected({TunnelInfo: []}, timeouts=replace(TIMEOUTS, answer=0.5)) as (client, server):
        with pytest.raises(AnswerTimeout, match=r"tunnel_info within 0\.5 s"):
            await whole_session(client)
        with pytest.raises(ConnectionLost, match="no answer"):
            await client.heartbeat()
    assert isinstance(server.messages[-1], TunnelInfo)


async def test_invalid_requests_are_not_sent(connected: Connected) -> None:
    async with connected() as (client, server):
        with pytest.raises(Misuse, match="hello first"):
            await client.authenticate(TOKEN)
        await client.hello()
        for token, text in (("", "token"), ("\ud800", "surrogate")):
            with pytest.raises(Misuse, match=text):
                await client.authenticate(token)
        await client.authenticate(TOKEN)
        with pytest.raises(Misuse, match="already authenticated"):
            await client.authenticate(TOKEN)
        for arguments in (("", 1, "h", 1), ("t", 0, "h", 1), ("t", 1, " ", 1), ("t", 1, "h", 65536)):
            with pytest.raises(Misuse, match="tunnel_info"):
                await client.open_tunnel(*arguments)
        with pytest.raises(Misuse, match="tenant_id"):
            await client.open_tunnel("t", 1, "h", 1, tenant_id="")
        await client.heartbeat()
    assert [type(message) for message in server.messages] == [Hello, Auth, Heartbeat]


async def test_a_cancelled_request_ends_the_connection(connected: Connected) -> None:
    async with connected({Heartbeat: []}) as (client, server):
        await authenticate(client)
        request = asyncio.create_task(client.heartbeat())
        waiting = asyncio.create_task(client.open_tunnel("t", 1, "h", 2))
        await server.until(lambda: isinstance(server.messages[-1], Heartbeat))
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        for call in (waiting, client.heartbeat()):
            with pytest.raises(ConnectionLost, match="heartbeat was cancelled"):
                await call
        assert await server.ended() == ["close_notify"]


async def test_a_call_cancelled_while_it_waits_for_its_turn_has_no_effect(connected: Connected) -> None:
    async with connected() as (client, server):
        await authenticate(client)
        first = asyncio.create_task(client.heartbeat())
        second, third = (asyncio.create_task(client.open_tunnel(name, 1, "h", 2)) for name in "tu")
        await asyncio.sleep(0)
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await third).tunnel_id == "u"
    assert [message.tunnel_id for message in server.messages if isinstance(message, TunnelInfo)] == ["u"]
