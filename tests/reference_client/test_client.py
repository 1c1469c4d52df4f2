"""The client against a relay over real sockets: what works, what is refused, and what is noticed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal

import pytest

from cbspec.protocol.codes import FACTS, ErrorCode
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
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import (
    AnswerTimeout,
    Client,
    ClientError,
    ConnectionLost,
    Misuse,
    Passed,
    RelayError,
    RelayMisbehaved,
    ServerUnavailable,
    Tunnel,
)
from cbspec_client.errors import BY_CODE, UnknownRelayError
from tests.reference_client.conftest import TIMEOUTS, Connect, MakeRelay
from tests.support.relay import Ending, Raw, Step, except_for

KEY = SigningKey.hmac("a secret of the tests, long enough for anyone")
TOKEN = mint(KEY, {"sub": "user123", "tenant_id": "tenant-001"})


async def opened(client: Client) -> None:
    await client.hello()
    await client.authenticate(TOKEN)


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
async def test_a_whole_session(relay: MakeRelay, connecting: Connect, transport: Literal["tcp", "websocket"]) -> None:
    passed: list[Passed] = []
    async with relay() as server:
        async with connecting(server.port, transport=transport, exchange=passed.append) as client:
            states = [client.state]
            assert await client.hello(["tls", "heartbeat"]) == HelloResponse()
            states.append(client.state)
            assert await client.authenticate(TOKEN) == AuthResponse("user123", "tenant-001")
            states.append(client.state)
            assert client.tenant_id == "tenant-001"
            tunnel = await client.open_tunnel("rdp", 3389, "192.168.1.100", 3390)
            assert tunnel == Tunnel("rdp", "tenant-001", 3389, "192.168.1.100", 3390)
            await client.open_tunnel("other", 1, "host", 2, tenant_id="tenant-009")
            assert [await client.heartbeat() >= 0 for _ in range(3)] == [True] * 3
        assert [*states, client.state] == list(State)
    requests = [
        Hello(features=("tls", "heartbeat")),
        Auth(TOKEN),
        TunnelInfo("rdp", "tenant-001", 3389, "192.168.1.100", 3390),
        TunnelInfo("other", "tenant-009", 1, "host", 2),
        *[Heartbeat()] * 3,
    ]
    assert server.messages == requests
    assert [each.message for each in passed if each.sent] == requests
    assert [each.sent for each in passed] == [True, False] * len(requests)
    assert TOKEN not in repr(passed)
    assert server.endings == ["close_notify"]


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize("code", [*ErrorCode, "teapot"])
async def test_each_code_is_an_exception_of_its_own(relay: MakeRelay, connecting: Connect, code: str) -> None:
    async with (
        relay(except_for({TunnelInfo: [Error(str(code), "because")]})) as server,
        connecting(server.port) as client,
    ):
        await opened(client)
        with pytest.raises(RelayError) as caught:
            await client.open_tunnel("t", 1, "h", 2)
        assert type(caught.value) is (BY_CODE[code] if isinstance(code, ErrorCode) else UnknownRelayError)
        assert (caught.value.code, caught.value.message) == (code, "because")
        assert caught.value.retryable is (isinstance(code, ErrorCode) and FACTS[code].retryable)
        assert caught.value.base_delay == (FACTS[code].base_delay if isinstance(code, ErrorCode) else None)
        # The connection goes on.
        assert client.state is State.AUTHENTICATED
        await client.heartbeat()


@pytest.mark.parametrize("kind", [Hello, Auth, Heartbeat])
async def test_every_request_can_be_refused(relay: MakeRelay, connecting: Connect, kind: type[Message]) -> None:
    async with (
        relay(except_for({kind: [Error("server_unavailable", "later"), Ending.CLOSE]})) as server,
        connecting(server.port) as client,
    ):
        with pytest.raises(ServerUnavailable):
            await everything(client)
        assert kind is Heartbeat or client.state is not State.AUTHENTICATED
        with pytest.raises((ConnectionLost, Misuse)):
            await client.heartbeat()


async def test_a_refused_auth_is_no_auth(relay: MakeRelay, connecting: Connect) -> None:
    async with (
        relay(except_for({Auth: [Error("invalid_token", "no")]})) as server,
        connecting(server.port) as client,
    ):
        await client.hello()
        for _ in range(2):
            with pytest.raises(RelayError):
                await client.authenticate(TOKEN)
        with pytest.raises(Misuse, match="authenticate first"):
            await client.open_tunnel("t", 1, "h", 2)
    assert [type(message) for message in server.messages] == [Hello, Auth, Auth]


async def test_a_relay_that_repeats_the_token_puts_it_in_no_error(relay: MakeRelay, connecting: Connect) -> None:
    async with (
        relay(except_for({Auth: [Error("invalid_token", f"bad token {TOKEN}!")]})) as server,
        connecting(server.port) as client,
    ):
        await client.hello()
        with pytest.raises(RelayError, match=r"bad token \*\*\*!") as caught:
            await client.authenticate(TOKEN)
        assert TOKEN not in f"{caught.value} {caught.value!r} {caught.value.message}"


async def test_an_error_that_came_unasked_is_told_by_the_next_call(relay: MakeRelay, connecting: Connect) -> None:
    script = except_for({Hello: [HelloResponse(), Error("server_unavailable", "draining"), Ending.CLOSE]})
    async with relay(script) as server, connecting(server.port) as client:
        await client.hello()
        await server.ended()
        with pytest.raises(ServerUnavailable):
            await client.authenticate(TOKEN)
        with pytest.raises(ConnectionLost, match="closed"):
            await client.authenticate(TOKEN)
        with pytest.raises(ConnectionLost, match="ended already"):
            await client.authenticate(TOKEN)
    assert [type(message) for message in server.messages] == [Hello]


# ---------------------------------------------------------------- noticed

OTHER_TENANT = AuthResponse("user123", "tenant-002")
MISBEHAVIOUR: dict[str, tuple[type[Message], list[Step], str]] = {
    "malformed": (Hello, [b'{"type":"hello_response",}'], "CB-MSG-002"),
    "not UTF-8": (Hello, [b'{"type":"hello_response","version":"\xff","features":[]}'], "CB-MSG-001"),
    "a member missing": (Hello, [b'{"type":"hello_response","version":"1.0"}'], "CB-HEL-003"),
    "of another type": (Hello, [HeartbeatResponse()], "CB-HEL-001"),
    "a request's type": (Hello, [b'{"type":"heartbeat"}'], "CB-MSG-003"),
    "auth of wrong type": (Auth, [HelloResponse()], "CB-AUT-001"),
    "auth not ok": (Auth, [replace(OTHER_TENANT, status="failed")], "CB-AUT-001"),
    "another tenant": (Auth, [OTHER_TENANT], "CB-AUT-003"),
    "another tunnel": (TunnelInfo, [TunnelResponse("another")], "CB-TUN-002"),
    "tunnel not ok": (TunnelInfo, [TunnelResponse("t", status="pending")], "CB-TUN-001"),
    "heartbeat of wrong type": (Heartbeat, [TunnelResponse("t")], "CB-HBT-001"),
    "without end": (Heartbeat, [Raw([b"{" + b" " * (1 << 20)])], "CB-MSG-002"),
    "error without code": (Heartbeat, [b'{"type":"error","message":"m"}'], "CB-ERR-001"),
}


@pytest.mark.parametrize("case", MISBEHAVIOUR)
async def test_a_wrong_answer_is_blamed_on_the_relay_and_ends_the_connection(
    relay: MakeRelay, connecting: Connect, case: str
) -> None:
    kind, steps, requirement = MISBEHAVIOUR[case]
    async with relay(except_for({kind: steps})) as server, connecting(server.port) as client:
        with pytest.raises(RelayMisbehaved) as caught:
            await everything(client)
        assert caught.value.requirement == requirement
        assert requirement in str(caught.value)
        seen = len(server.messages)
        with pytest.raises(ConnectionLost, match=requirement):
            await client.heartbeat()
        assert client.state is State.CLOSED
    assert len(server.messages) == seen
    assert isinstance(server.messages[-1], kind)


async def everything(client: Client) -> None:
    await opened(client)
    await client.open_tunnel("t", 1, "h", 2)
    await client.heartbeat()


async def test_an_answer_nobody_asked_for_is_told_by_the_next_call(relay: MakeRelay, connecting: Connect) -> None:
    script = except_for({Heartbeat: [Raw([b'{"type":"heartbeat_response"}{"type":"heartbeat_response"}\n'])]})
    async with relay(script) as server, connecting(server.port) as client:
        await opened(client)
        await client.heartbeat()
        with pytest.raises(RelayMisbehaved) as caught:
            await client.heartbeat()
        assert caught.value.requirement == "CB-MSG-004"


@pytest.mark.parametrize("end", Ending)
@pytest.mark.parametrize("before", [[], [Raw([b'{"type":"heartbeat_res'])]], ids=["nothing", "half an answer"])
async def test_an_end_before_the_answer_is_noticed(
    relay: MakeRelay, connecting: Connect, end: Ending, before: list[Step]
) -> None:
    async with relay(except_for({Heartbeat: [*before, end]})) as server, connecting(server.port) as client:
        await opened(client)
        with pytest.raises(ConnectionLost):
            await client.heartbeat()
        with pytest.raises(ConnectionLost, match="ended already"):
            await client.heartbeat()


@pytest.mark.parametrize("end", [Ending.CLOSE, Ending.CUT])
async def test_an_answer_before_the_end_counts(relay: MakeRelay, connecting: Connect, end: Ending) -> None:
    async with (
        relay(except_for({Heartbeat: [HeartbeatResponse(), end]})) as server,
        connecting(server.port) as client,
    ):
        await opened(client)
        await client.heartbeat()
        with pytest.raises(ConnectionLost):
            await client.heartbeat()


@pytest.mark.parametrize("kind", [Hello, Auth, TunnelInfo])
async def test_no_answer_in_time_ends_the_connection(
    relay: MakeRelay, connecting: Connect, kind: type[Message]
) -> None:
    timeouts = replace(TIMEOUTS, answer=1.0)
    async with relay(except_for({kind: []})) as server, connecting(server.port, timeouts=timeouts) as client:
        with pytest.raises(AnswerTimeout, match=kind.type):
            await everything(client)
        with pytest.raises(ConnectionLost, match="no answer"):
            await client.heartbeat()
    assert isinstance(server.messages[-1], kind)


async def test_an_unanswered_heartbeat_is_noticed_in_its_own_time(relay: MakeRelay, connecting: Connect) -> None:
    timeouts = replace(TIMEOUTS, heartbeat=0.1)
    async with relay(except_for({Heartbeat: []})) as server, connecting(server.port, timeouts=timeouts) as client:
        await opened(client)
        with pytest.raises(AnswerTimeout, match=r"heartbeat within 0\.1 s"):
            await client.heartbeat()


async def test_a_token_without_a_tenant_that_can_be_read_is_left_to_the_relay(
    relay: MakeRelay, connecting: Connect
) -> None:
    for token in ("no-jwt", "a.b.c", mint(KEY, {"sub": "u"}), mint(KEY, {"tenant_id": 7})):
        async with relay() as server, connecting(server.port) as client:
            await client.hello()
            assert (await client.authenticate(token)).tenant_id == "tenant-001"


# ---------------------------------------------------------------- used wrongly, at once, cancelled


async def test_what_may_not_be_sent_is_not_sent(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        with pytest.raises(Misuse, match="hello first"):
            await client.authenticate(TOKEN)
        await client.hello()
        with pytest.raises(Misuse, match="token"):
            await client.authenticate("")
        with pytest.raises(Misuse, match="surrogate"):
            await client.authenticate("\ud800")
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


async def test_calls_at_the_same_time_wait_for_their_turn(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        tunnels = await asyncio.gather(*(client.open_tunnel(f"t{n}", 1, "h", 2) for n in range(10)))
    assert [tunnel.tunnel_id for tunnel in tunnels] == [f"t{n}" for n in range(10)]
    assert [message.tunnel_id for message in server.messages if isinstance(message, TunnelInfo)] == [
        f"t{n}" for n in range(10)
    ]


async def test_a_cancelled_request_ends_the_connection_and_says_so(relay: MakeRelay, connecting: Connect) -> None:
    async with relay(except_for({Heartbeat: []})) as server, connecting(server.port) as client:
        await opened(client)
        request = asyncio.create_task(client.heartbeat())
        waiting = asyncio.create_task(client.open_tunnel("t", 1, "h", 2))
        await server.until(lambda: isinstance(server.messages[-1], Heartbeat))
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        with pytest.raises(ConnectionLost, match="heartbeat was cancelled"):
            await waiting
        with pytest.raises(ConnectionLost, match="heartbeat was cancelled"):
            await client.heartbeat()
        # The relay is told at once, not only when the context is left.
        await server.ended()
        assert server.endings == ["close_notify"]


async def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_costs_nothing(
    relay: MakeRelay, connecting: Connect
) -> None:
    gate = asyncio.Event()
    async with relay() as server, connecting(server.port) as client:
        await opened(client)
        first = asyncio.create_task(client.heartbeat())
        second = asyncio.create_task(client.open_tunnel("t", 1, "h", 2))
        asyncio.get_running_loop().call_soon(gate.set)
        await gate.wait()
        second.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await second
        await client.heartbeat()
    assert not any(isinstance(message, TunnelInfo) for message in server.messages)


async def test_after_the_context_is_left_nothing_can_be_asked(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server:
        async with connecting(server.port) as client:
            await opened(client)
        with pytest.raises(ConnectionLost, match="closed here"):
            await client.heartbeat()


async def test_an_exception_in_the_body_closes_the_connection_too(relay: MakeRelay, connecting: Connect) -> None:
    async with relay() as server:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the context by it is what this is about
            async with connecting(server.port) as client:
                await client.hello()
                raise ZeroDivisionError
        await server.ended()
        assert server.endings == ["close_notify"]


def test_the_family_has_one_root() -> None:
    assert issubclass(RelayError, ClientError)
    assert issubclass(RelayMisbehaved, ClientError)
