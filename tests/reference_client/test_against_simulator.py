"""The client with the simulator: whole sessions, and each error code by its cause."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cbspec.profile.identity import development_ca
from cbspec.profile.target import Rate, Tenant
from cbspec_client import Client, RelayError, Transport, connect
from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import Listen, RelaySettings
from tests.reference_client.conftest import TIMEOUTS
from tests.support.messages import token

ANY_PORT = Listen(port=0)
Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBSPEC_STATE_DIR", str(tmp_path))


def connecting(relay: Simulator, transport: Transport) -> Connect:
    host, port = relay.address
    return partial(connect, host, port, ca=development_ca().ca_file, transport=transport, timeouts=TIMEOUTS)


async def authenticate(client: Client, tenant: str = "tenant-001") -> None:
    await client.hello()
    await client.authenticate(token(tenant))


@pytest.mark.parametrize("transport", Transport)
async def test_whole_sessions_one_after_another_and_at_once(transport: Transport) -> None:
    async with Simulator(Config(listen=ANY_PORT)) as relay:
        async with connecting(relay, transport)() as client:
            await authenticate(client)
            async with client.keep_alive(interval=0.01):
                for number in range(20):
                    tunnel = await client.open_tunnel(f"tünnel {number}\n", 1, "192.168.1.100", 65535)
                    assert tunnel.tenant_id == "tenant-001"
            assert await client.heartbeat() >= 0

        async def session(name: str) -> str:
            async with connecting(relay, transport)() as client:
                await authenticate(client)
                return (await client.open_tunnel(name, 1, "h", 2)).tunnel_id

        names = [f"t{number}" for number in range(20)]
        assert await asyncio.gather(*map(session, names)) == names


async def two_tunnels(client: Client, _: Connect) -> None:
    await authenticate(client)
    await client.open_tunnel("first", 1, "h", 2)
    await client.open_tunnel("second", 1, "h", 2)


async def two_clients(client: Client, again: Connect) -> None:
    await authenticate(client)
    async with again() as other:
        await authenticate(other)
        await other.heartbeat()


async def many_heartbeats(client: Client, _: Connect) -> None:
    await authenticate(client)
    for _number in range(100):
        await client.heartbeat()


async def wrong_token(client: Client, _: Connect) -> None:
    await client.hello()
    await client.authenticate("no-jwt")


async def another_tenant(tenant: str, client: Client, _: Connect) -> None:
    await authenticate(client, tenant)


async def unreachable_host(client: Client, _: Connect) -> None:
    await authenticate(client)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await client.open_tunnel("t", 1, "127.0.0.1", unused.getsockname()[1])


def tenant(**limits: Any) -> Config:  # noqa: ANN401 - those of Tenant
    return Config(listen=ANY_PORT, tenants=(Tenant("tenant-001", **limits),))


def rules(**settings: Any) -> Config:  # noqa: ANN401 - those of RelaySettings
    return Config(listen=ANY_PORT, relay=RelaySettings(**settings))


# The client sends nothing that draws invalid_tunnel_info or unknown_message_type.
CAUSES: list[tuple[str, Config, Callable[[Client, Connect], Awaitable[None]]]] = [
    ("invalid_token", rules(), wrong_token),
    ("rate_limit_exceeded", tenant(rate=Rate(per_second=0.01, burst=5)), many_heartbeats),
    ("connection_limit_reached", rules(connection_limit=1), two_clients),
    ("server_unavailable", rules(draining=True), two_tunnels),
    ("tenant_limit_exceeded", tenant(tunnel_limit=1), two_tunnels),
    ("tenant_limit_exceeded", tenant(connection_limit=1), two_clients),
    ("tenant_not_found", rules(), partial(another_tenant, "tenant-unknown")),
    ("tenant_not_found", rules(), partial(another_tenant, "tenant-inactive")),
    ("ip_not_allowed", rules(), partial(another_tenant, "tenant-elsewhere")),
    ("buffer_pool_exhausted", rules(buffer_pool=1), two_tunnels),
    ("data_transfer_failed", rules(probe=True), unreachable_host),
]


@pytest.mark.parametrize("transport", Transport)
async def test_each_code_is_raised_for_its_cause(transport: Transport) -> None:
    for code, config, provoke in CAUSES:
        async with Simulator(config) as relay:
            again = connecting(relay, transport)
            async with again() as client:
                with pytest.raises(RelayError) as caught:
                    await provoke(client, again)
        assert caught.value.code == code
