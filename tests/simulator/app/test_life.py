"""A relay's life: SIGTERM drains, SIGHUP reads again, SIGINT ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cbspec_simulator import Config, ConfigError, Simulator
from cbspec_simulator.app.deployment import Deployment
from cbspec_simulator.app.life import live
from cbspec_simulator.settings.config import Listen, MetricsSettings, RelaySettings
from cbspec_simulator.settings.reading import load_config
from tests.support.client import BEAT, HELLO, PATIENCE, AsyncClient, tunnel, until

ANY_PORT = Config(listen=Listen(port=0))


class Living:
    """A relay that lives in a task; signals go to this process, and the relay's handlers are gone behind it."""

    def __init__(
        self, served: Simulator | Deployment, read: Callable[[], Config] = lambda: ANY_PORT, grace: float = PATIENCE
    ) -> None:
        self.served, self._read, self._grace = served, read, grace

    async def __aenter__(self) -> Living:
        ready = asyncio.Event()
        self.task = asyncio.create_task(live(self.served, self._read, ready.set, self._grace))
        await ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.task.done():
            os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(self.task, PATIENCE)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_sigterm_drains_and_ends_with_the_last_connection() -> None:
    simulator = Simulator(ANY_PORT)
    async with Living(simulator) as living:
        async with AsyncClient(simulator.address) as wire, AsyncClient(simulator.address) as late:
            await wire.greet()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: simulator.relay.state.draining)
            assert (await late.ask(HELLO))["code"] == "server_unavailable"
            assert (await wire.ask(tunnel()))["code"] == "server_unavailable"
            assert (await wire.ask(BEAT))["type"] == "heartbeat_response"
            assert not living.task.done()
        await asyncio.wait_for(living.task, PATIENCE)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once(second: signal.Signals) -> None:
    simulator = Simulator(ANY_PORT)
    async with Living(simulator) as living, AsyncClient(simulator.address) as wire:
        await wire.greet()
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: simulator.relay.state.draining)
        os.kill(os.getpid(), second)
        assert await wire.rest() == b""
        await asyncio.wait_for(living.task, PATIENCE)


async def test_draining_ends_when_its_time_is_over() -> None:
    simulator = Simulator(ANY_PORT)
    async with Living(simulator, grace=0.05) as living, AsyncClient(simulator.address) as wire:
        await wire.greet()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await wire.rest() == b""
        await asyncio.wait_for(living.task, PATIENCE)
        assert time.monotonic() - began >= 0.05


async def test_nothing_open_ends_at_once() -> None:
    async with Living(Simulator(ANY_PORT)) as living:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(living.task, PATIENCE)


async def test_sighup_reads_again_and_drops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[listen]\nport = 0\n")
    simulator = Simulator(load_config(file))
    async with Living(simulator, lambda: load_config(file)), AsyncClient(simulator.address) as wire:
        await wire.greet()
        before = simulator.address
        file.write_text(
            '[listen]\nport = 0\n[[tenants]]\nid = "tenant-001"\ntunnel_limit = 1\n'
            '[[faults]]\nname = "late"\nkind = "latency"\nseconds = 0.01\n'
        )
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: bool(simulator.relay.faults))
        assert (await wire.ask(tunnel("1")))["type"] == "tunnel_response"
        assert (await wire.ask(tunnel("2")))["code"] == "tenant_limit_exceeded"
        assert simulator.address == before
        async with AsyncClient(simulator.address) as other:
            await other.ask(HELLO)


async def test_what_needs_another_start_is_named(caplog: pytest.LogCaptureFixture) -> None:
    simulator = Simulator(ANY_PORT)
    changed = replace(ANY_PORT, listen=Listen(port=1), metrics=MetricsSettings(enabled=True), seed=3)
    async with Living(simulator, lambda: changed):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "was read again" in caplog.text)
        for table in ("listen", "metrics"):
            assert f"[{table}] changed" in caplog.text
        assert "[control]" not in caplog.text
        assert (simulator.config.listen, simulator.config.seed) == (ANY_PORT.listen, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listen\n", "is not TOML"),
        ('[[faults]]\nkind = "eror"\n', "faults[0].kind: there is no kind 'eror'"),
        ('[tls]\nchain = "nowhere.pem"\n', "[tls]"),
        (None, "can't be read"),
    ],
)
async def test_a_bad_file_keeps_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None, said: str
) -> None:
    file = tmp_path / "relay.toml"
    if text is not None:
        file.write_text(text)
    faults = load_config_with_a_fault(tmp_path)
    simulator = Simulator(faults)
    async with Living(simulator, lambda: load_config(file)), AsyncClient(simulator.address) as wire:
        await wire.greet()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "the old configuration stays" in caplog.text)
        assert said in caplog.text
        assert simulator.config == faults
        assert simulator.relay.faults.active
        assert (await wire.ask(BEAT))["type"] == "heartbeat_response"


def load_config_with_a_fault(folder: Path) -> Config:
    """Return a configuration with one fault that never strikes."""
    file = folder / "good.toml"
    file.write_text('[listen]\nport = 0\n[[faults]]\nkind = "drop"\nwhen = {nth = 1000}\n')
    return load_config(file)


async def test_a_deployment_lives_as_well() -> None:
    deployment = Deployment(ANY_PORT)
    changed = replace(ANY_PORT, relay=RelaySettings(buffer_pool=7))
    async with Living(deployment, lambda: changed):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: deployment.main.relay.config.relay.buffer_pool == 7)
        assert deployment.conditions["buffer_pool"].relay.config.relay.buffer_pool == 3
        assert deployment.main.relay.config.metrics.enabled


async def test_what_cant_begin_says_so() -> None:
    async with Simulator(ANY_PORT) as there:
        taken = Simulator(Config(listen=Listen(port=there.address[1])))
        with pytest.raises(ConfigError, match="address already in use"):
            await live(taken, lambda: ANY_PORT, lambda: None, 1.0)


async def test_the_collector_is_calm_while_it_lives_and_no_longer() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    async with Living(Simulator(ANY_PORT)):
        assert gc.get_threshold()[0] > before[0][0]
        assert gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
