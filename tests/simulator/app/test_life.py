"""The life cycle of the process: SIGTERM drains, SIGHUP reloads, SIGINT ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.app.life import Lifetime, live
from cbspec_simulator.settings.config import Listen, RelaySettings
from cbspec_simulator.settings.reading import load_config
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, tunnel, until

ANY_PORT = Config(listen=Listen(port=0))


@asynccontextmanager
async def running(
    served: Simulator | Deployment, read: Callable[[], Config] = lambda: ANY_PORT, grace: float = PATIENCE
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a relay in a task; signals are sent to this process, and its handlers are removed afterwards."""
    ready = asyncio.Event()
    task = asyncio.create_task(live(served, read, ready.set, Lifetime(grace)))
    await ready.wait()
    yield task
    if not task.done():
        os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(task, PATIENCE)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_sigterm_drains_and_ends_with_the_last_connection() -> None:
    simulator = Simulator(ANY_PORT)
    async with running(simulator) as task:
        async with AsyncClient(simulator.address) as wire, AsyncClient(simulator.address) as late:
            await wire.greet()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: simulator.relay.state.draining)
            assert (await late.ask(HELLO))["code"] == "server_unavailable"
            assert (await wire.ask(tunnel()))["code"] == "server_unavailable"
            assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
            assert not task.done()
        await asyncio.wait_for(task, PATIENCE)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, None])
async def test_a_second_signal_or_the_time_limit_ends_draining(second: signal.Signals | None) -> None:
    simulator = Simulator(ANY_PORT)
    grace = PATIENCE if second else 0.05
    async with running(simulator, grace=grace) as task, AsyncClient(simulator.address) as wire:
        await wire.greet()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: simulator.relay.state.draining)
        if second:
            os.kill(os.getpid(), second)
        assert await wire.rest() == b""
        await asyncio.wait_for(task, PATIENCE)
        assert second or time.monotonic() - began >= grace


async def test_sighup_reloads_without_closing_connections(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[listen]\nport = 0\n")
    simulator = Simulator(load_config(file))
    async with running(simulator, lambda: load_config(file)), AsyncClient(simulator.address) as wire:
        await wire.greet()
        file.write_text('[listen]\nport = 0\n[[tenants]]\nid = "tenant-001"\ntunnel_limit = 1\n')
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(simulator.relay.state.tenants) == 1)
        answers = [await wire.ask(tunnel(name)) for name in ("1", "2")]
        assert [answer.get("code") for answer in answers] == [None, "tenant_limit_exceeded"]
        async with AsyncClient(simulator.address) as other:
            await other.ask(HELLO)


async def test_sighup_reloads_a_deployment_and_names_changes_that_need_a_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    deployment = Deployment(ANY_PORT)
    changed = replace(ANY_PORT, listen=Listen(port=1), relay=RelaySettings(buffer_pool=7), seed=3)
    async with running(deployment, lambda: changed):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: deployment.main.relay.config.relay.buffer_pool == 7)
        assert deployment.conditions["buffer_pool"].relay.config.relay.buffer_pool == 3
        assert (deployment.main.config.listen, deployment.main.config.seed) == (ANY_PORT.listen, 3)
        assert [f"[{table}] changed" in caplog.text for table in ("listen", "metrics", "control")] == [
            True,
            False,
            False,
        ]


async def test_the_old_configuration_stays_if_the_new_one_is_invalid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "relay.toml"
    config = load_config({"listen": {"port": 0}, "faults": [{"kind": "drop", "when": {"nth": 1000}}]})
    simulator = Simulator(config)
    async with running(simulator, lambda: load_config(file)), AsyncClient(simulator.address) as wire:
        await wire.greet()
        for text, problem in (("[listen\n", "is not TOML"), ('[tls]\nchain = "nowhere.pem"\n', "[tls]")):
            caplog.clear()
            file.write_text(text)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: "the old configuration stays" in caplog.text)
            assert problem in caplog.text
            assert simulator.config == config
            assert simulator.relay.faults.active
            assert (await wire.ask(BEAT))["type"] == "heartbeat_response"


async def test_garbage_is_collected_less_often_while_the_relay_runs() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    async with running(Simulator(ANY_PORT)):
        assert gc.get_threshold()[0] > before[0][0]
        assert gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
