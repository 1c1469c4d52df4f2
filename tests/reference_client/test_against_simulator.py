"""The client and the simulator, two ends that share only the protocol: every session, every code by its cause."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca
from cbspec.profile.target import Rate, Tenant
from cbspec.tokens.jwt import SigningKey, mint
from cbspec_client import Client, RelayError, Transport, connect
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, RelaySettings
from tests.reference_client.conftest import TIMEOUTS

ANY_PORT = Listen(port=0)
Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))


def token(tenant: str = "tenant-001") -> str:
    return mint(
        SigningKey.hmac(DEVELOPMENT_SECRET), {"sub": "user123", "tenant_id": tenant, "exp": int(time.time()) + 600}
    )


def connecting(relay: Simulator, transport: Transport = Transport.TCP) -> Connect:
    host, port = relay.address
    return partial(connect, host, port, ca=development_ca().ca_file, transport=transport, timeouts=TIMEOUTS)


async def opened(client: Client, tenant: str = "tenant-001") -> None:
    await client.hello()
    await client.authenticate(token(tenant))


@pytest.mark.parametrize("transport", Transport)
async def test_a_whole_session(transport: Transport) -> None:
    async with Simulator(Config(listen=ANY_PORT)) as relay, connecting(relay, transport)() as client:
        await opened(client)
        async with client.keep_alive(interval=0.01):
            for number in range(20):
                tunnel = await client.open_tunnel(f"tünnel {number}\n", 1, "192.168.1.100", 65535)
                assert tunnel.tenant_id == "tenant-001"
        assert await client.heartbeat() >= 0


@pytest.mark.parametrize("transport", Transport)
async def test_twenty_clients_at_once(transport: Transport) -> None:
    async with Simulator(Config(listen=ANY_PORT)) as relay:

        async def session(number: int) -> str:
            async with connecting(relay, transport)() as client:
                await opened(client)
                return (await client.open_tunnel(f"t{number}", 1, "h", 2)).tunnel_id

        assert await asyncio.gather(*map(session, range(20))) == [f"t{number}" for number in range(20)]


async def two_tunnels(client: Client, _: Connect) -> None:
    await opened(client)
    await client.open_tunnel("first", 1, "h", 2)
    await client.open_tunnel("second", 1, "h", 2)


async def two_clients(client: Client, again: Connect) -> None:
    await opened(client)
    async with again() as other:
        await opened(other)
        await other.heartbeat()


async def many_heartbeats(client: Client, _: Connect) -> None:
    await opened(client)
    for _number in range(100):
        await client.heartbeat()


async def wrong_token(client: Client, _: Connect) -> None:
    await client.hello()
    await client.authenticate("no-jwt")


async def another_tenant(tenant: str, client: Client, _: Connect) -> None:
    await opened(client, tenant)


async def unreachable_end(client: Client, _: Connect) -> None:
    await opened(client)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await client.open_tunnel("t", 1, "127.0.0.1", unused.getsockname()[1])


def tenant(**limits: object) -> Config:
    return Config(listen=ANY_PORT, tenants=(Tenant("tenant-001", **limits),))  # type: ignore[arg-type]  # one of its limits


def rules(**rules: object) -> Config:
    return Config(listen=ANY_PORT, relay=RelaySettings(**rules))  # type: ignore[arg-type]  # one of its rules


# invalid_tunnel_info and unknown_message_type aren't here: the client sends nothing that draws them.
CAUSES: dict[str, tuple[Config, Callable[[Client, Connect], Awaitable[None]]]] = {
    "invalid_token": (Config(listen=ANY_PORT), wrong_token),
    "rate_limit_exceeded": (tenant(rate=Rate(per_second=0.01, burst=5)), many_heartbeats),
    "connection_limit_reached": (rules(connection_limit=1), two_clients),
    "server_unavailable": (rules(draining=True), two_tunnels),
    "tenant_limit_exceeded": (tenant(tunnel_limit=1), two_tunnels),
    "tenant_limit_exceeded by connections": (tenant(connection_limit=1), two_clients),
    "tenant_not_found": (Config(listen=ANY_PORT), partial(another_tenant, "tenant-unknown")),
    "tenant_not_found, inactive": (Config(listen=ANY_PORT), partial(another_tenant, "tenant-inactive")),
    "ip_not_allowed": (Config(listen=ANY_PORT), partial(another_tenant, "tenant-elsewhere")),
    "buffer_pool_exhausted": (rules(buffer_pool=1), two_tunnels),
    "data_transfer_failed": (rules(probe=True), unreachable_end),
}


def causes() -> Iterator[tuple[str, Transport]]:
    for cause in CAUSES:
        for transport in Transport:
            yield cause, transport


@pytest.mark.parametrize(("cause", "transport"), list(causes()))
async def test_each_code_reaches_the_user_by_its_cause(cause: str, transport: Transport) -> None:
    config, provoke = CAUSES[cause]
    async with Simulator(config) as relay, AsyncExitStack() as stack:
        again = connecting(relay, transport)
        with pytest.raises(RelayError) as caught:
            await provoke(await stack.enter_async_context(again()), again)
    assert caught.value.code == cause.replace(",", " ").split()[0]
