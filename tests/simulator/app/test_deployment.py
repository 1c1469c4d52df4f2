"""The main relay with one relay for each condition."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cbspec.profile.profile import load
from cbspec.profile.target import Endpoint
from cbspec_simulator import Config, ConfigError, Deployment
from cbspec_simulator.app.deployment import write_profile
from cbspec_simulator.settings.config import Listen
from tests.support.client import HELLO, AsyncClient, tunnel

CONFIG = Config(listen=Listen(port=0))


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    async with Deployment(CONFIG) as deployment:
        yield deployment


def client(endpoint: Endpoint | None) -> AsyncClient:
    """Return a client of the relay at this address."""
    assert endpoint
    return AsyncClient((endpoint.host, endpoint.port))


async def test_each_condition_holds_at_its_address(deployment: Deployment) -> None:
    profile = deployment.profile()
    conditions = profile.conditions
    assert set(conditions) == {"unavailable", "buffer_pool", "connection_limit", "transfer_failed"}

    pool, connections, failing = (conditions[name] for name in ("buffer_pool", "connection_limit", "transfer_failed"))
    async with client(pool.target) as wire:
        await wire.greet()
        codes = [(await wire.ask(tunnel(name))).get("code") for name in "wxyz"]
    assert codes == [None] * (pool.limit or 0) + ["buffer_pool_exhausted"]

    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(client(connections.target)) for _ in range(4)]
        codes = [(await wire.ask(HELLO)).get("code") for wire in wires]
    assert codes == [None] * (connections.limit or 0) + ["connection_limit_reached"]

    assert failing.dialled
    assert profile.remote.unreachable
    async with client(failing.target) as wire:
        await wire.greet()
        answer = await wire.ask(tunnel("x", port=profile.remote.unreachable.port))
        assert answer["code"] == "data_transfer_failed"
        assert (await wire.ask(tunnel("y", port=profile.remote.reachable.port)))["type"] == "tunnel_response"


async def test_the_relay_becomes_unavailable_and_available_again(deployment: Deployment) -> None:
    profile = deployment.profile()
    condition = profile.conditions["unavailable"]
    for action, expected in ((condition.begin, "server_unavailable"), (condition.end, "hello_response")):
        assert action
        assert action.http
        request = urllib.request.Request(action.http.url, method=action.http.method)  # noqa: S310 - on loopback
        with await asyncio.to_thread(urllib.request.urlopen, request) as response:
            assert response.status == 204
        async with client(profile.target.address) as wire:
            answer = await wire.ask(HELLO)
        assert answer.get("code", answer["type"]) == expected


async def test_the_profile_is_written_atomically_for_its_owner(deployment: Deployment, tmp_path: Path) -> None:
    path, profile = tmp_path / "profile.toml", deployment.profile()
    await asyncio.to_thread(write_profile, profile, path)
    assert load(path) == profile
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]  # noqa: ASYNC240 - as above
    with pytest.raises(ConfigError, match=r"--profile-out .*: can't be written: No such file"):
        write_profile(profile, tmp_path / "no" / "profile.toml")


async def test_a_failed_start_leaves_nothing_open() -> None:
    async with Deployment(CONFIG) as deployment:
        port = deployment.main.address[1]
        with pytest.raises(ConfigError):
            async with Deployment(Config(listen=Listen(port=port))):
                pass
    reader = asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        await reader
