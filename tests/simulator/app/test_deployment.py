"""The main relay with one more for each condition."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest

from cbspec.profile.profile import load
from cbspec.profile.target import Endpoint, Profile
from cbspec_simulator import Config, ConfigError, Deployment
from cbspec_simulator.app.deployment import write_profile
from cbspec_simulator.settings.config import Listen, RelaySettings
from tests.support.client import HELLO, AsyncClient, tunnel

CONFIG = Config(listen=Listen(port=0))


async def _greeting(endpoint: Endpoint | None) -> str:
    assert endpoint
    async with AsyncClient((endpoint.host, endpoint.port)) as wire:
        answer = await wire.ask(HELLO)
        return str(answer.get("code", answer["type"]))


async def test_each_condition_holds_where_the_profile_says() -> None:
    async with Deployment(CONFIG) as deployment:
        profile = deployment.profile()
        conditions = profile.conditions
        assert set(conditions) == {"unavailable", "buffer_pool", "connection_limit", "transfer_failed"}
        assert await _greeting(profile.target.address) == "hello_response"

        pool = conditions["buffer_pool"]
        assert pool.target
        async with AsyncClient((pool.target.host, pool.target.port)) as wire:
            await wire.greet()
            found = [(await wire.ask(tunnel(name))).get("code") for name in "wxyz"]
        assert found == [None] * (pool.limit or 0) + ["buffer_pool_exhausted"]

        failing, unreachable = conditions["transfer_failed"].target, profile.remote.unreachable
        assert failing
        assert unreachable
        async with AsyncClient((failing.host, failing.port)) as wire:
            await wire.greet()
            assert (await wire.ask(tunnel("x", port=unreachable.port)))["code"] == "data_transfer_failed"
            assert (await wire.ask(tunnel("y", port=profile.remote.reachable.port)))["type"] == "tunnel_response"


async def test_the_relay_is_made_unavailable_and_available_again() -> None:
    async with Deployment(CONFIG) as deployment:
        profile = deployment.profile()
        condition = profile.conditions["unavailable"]
        for action, answer in ((condition.begin, "server_unavailable"), (condition.end, "hello_response")):
            assert action
            assert action.http
            request = urllib.request.Request(action.http.url, method=action.http.method)  # noqa: S310 - on loopback
            with await asyncio.to_thread(urllib.request.urlopen, request) as said:
                assert said.status == 204
            assert await _greeting(profile.target.address) == answer


async def test_the_relays_connection_limit() -> None:
    async with Deployment(CONFIG) as deployment:
        condition = deployment.profile().conditions["connection_limit"]
        assert condition.target
        address = (condition.target.host, condition.target.port)
        async with (
            AsyncClient(address) as one,
            AsyncClient(address) as two,
            AsyncClient(address) as three,
            AsyncClient(address) as four,
        ):
            codes = [(await wire.ask(HELLO)).get("code") for wire in (one, two, three, four)]
        assert codes == [None] * (condition.limit or 0) + ["connection_limit_reached"]


async def test_the_profile_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    async with Deployment(CONFIG) as deployment:
        profile = deployment.profile()
    assert await asyncio.to_thread(_written, profile, path) == (profile, 0o600, [path])


def _written(profile: Profile, path: Path) -> tuple[Profile, int, list[Path]]:
    """Write a profile; return what is read, how the file may be used, and all that lies beside it."""
    write_profile(profile, path)
    return load(path), path.stat().st_mode & 0o777, list(path.parent.iterdir())


async def test_a_profile_that_cannot_be_written(tmp_path: Path) -> None:
    async with Deployment(CONFIG) as deployment:
        profile = deployment.profile()
    with pytest.raises(ConfigError, match=r"--profile-out .*: can't be written: No such file"):
        write_profile(profile, tmp_path / "no" / "profile.toml")


async def test_a_start_that_fails_leaves_nothing_open() -> None:
    async with Deployment(CONFIG) as deployment:
        port = deployment.main.address[1]
        with pytest.raises(ConfigError):
            async with Deployment(Config(listen=Listen(port=port), relay=RelaySettings())):
                pass
    reader = asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        await reader
