"""What brings a relay down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from cbspec_simulator import Behaviour, Config, Simulator, deviated
from cbspec_simulator.relay.behaviour import Readable
from cbspec_simulator.settings.config import Listen, MetricsSettings
from tests.simulator.variations.deviations.probe import Probe, enter, met, show
from tests.support.client import BEAT as BEAT_LINE
from tests.support.client import AsyncClient, tunnel, until
from tests.support.memory import BEAT, HELLO, MemoryRelay

_beat = ["heartbeat_response"]


def _hogged(memory: MemoryRelay) -> list[str]:
    one, other = enter(memory), enter(memory)
    one.send(b'{"type":"' + b"x" * 100_000)
    return met(other, BEAT)


def _deep(memory: MemoryRelay) -> list[str]:
    one = enter(memory)
    one.send(b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n")
    return met(memory.client(), HELLO)


def _falls(memory: MemoryRelay) -> bool:
    try:
        enter(memory).send(b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n")
    except RecursionError:
        return True
    return False


PROBES = {
    "huge-message-blocks-all": Probe(_hogged, _beat, []),
    "deep-nesting-ends-service": Probe(_deep, ["hello_response"], []),
    "deep-nesting-closes-all": Probe(_falls, False, True),
}

ON_A_SOCKET = ("unread-answers-block-all",)


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


CONFIG = Config(listen=Listen(port=0), metrics=MetricsSettings(enabled=True, port=0))


def _deviating(id_: str) -> Simulator:
    return Simulator(CONFIG, behaviour=deviated(Behaviour(), id_))


async def test_a_fall_takes_the_others_along(caplog: pytest.LogCaptureFixture) -> None:
    async with _deviating("deep-nesting-closes-all") as simulator:
        async with AsyncClient(simulator.address) as one, AsyncClient(simulator.address) as other:
            await one.greet()
            await other.greet()
            one.write(b'{"x":' * 100 + b"1" + b"}" * 100 + b"\n")
            with pytest.raises((ConnectionResetError, EOFError)):  # noqa: PT012 - by either
                if await other.rest() == b"":
                    raise EOFError
        async with AsyncClient(simulator.address) as wire:
            await wire.greet()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("id_", [None, *ON_A_SOCKET])
async def test_a_client_that_reads_nothing(id_: str | None) -> None:
    behaviour = deviated(Behaviour(), *filter(None, [id_]))
    told: list[bool] = []

    def stuck(others: Iterable[Readable], full: bool) -> None:
        behaviour.stuck(others, full)
        told.append(full)

    async with (
        Simulator(CONFIG, behaviour=replace(behaviour, stuck=stuck)) as simulator,
        AsyncClient(simulator.address) as one,
        AsyncClient(simulator.address) as other,
    ):
        await one.greet()
        await other.greet()
        one.writer.transport.pause_reading()  # type: ignore[attr-defined]
        one.write(tunnel("x" * 30_000) * 400)
        await until(lambda: told == [True])
        answer = asyncio.create_task(other.ask(BEAT_LINE))
        if id_ is None:
            await answer
        else:
            async with AsyncClient(simulator.address) as new:
                await new.greet()
                await new.ask(BEAT_LINE)
            assert not answer.done()
        one.writer.transport.abort()
        assert (await answer)["type"] == "heartbeat_response"
        await until(lambda: not told[-1])
