"""One browser for all tests of the page; for each a relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import ControlRules, Listen
from tests.simulator.control.page.browser import Browser, Loop, leave, opened
from tests.support.client import AsyncClient

Talk = Callable[..., AsyncClient]


@pytest.fixture(scope="package")
def window() -> Iterator[Browser]:
    with opened() as browser:
        yield browser


@pytest.fixture
def loop() -> Iterator[Loop]:
    with Loop() as loop:
        yield loop


@pytest.fixture
def relay(loop: Loop) -> Iterator[Simulator]:
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlRules(port=0)))
    loop.run(simulator.start())
    yield simulator
    loop.run(simulator.close())


@pytest.fixture
def browser(window: Browser, relay: Simulator) -> Iterator[Browser]:
    """Lend the browser; in the end, while its relay is still there, it must have nothing to complain of."""
    window.complaints()
    window.scheme("light")
    window.size(1440, 900)
    yield window
    assert window.complaints() == []
    window.leave()


@pytest.fixture
def talk(loop: Loop) -> Iterator[Talk]:
    """Return what opens a connection, authenticates and asks; it stays open until the test ends."""
    wires = []

    async def begin(relay: Simulator, *messages: bytes) -> AsyncClient:
        wire = await AsyncClient(relay.address).__aenter__()
        wires.append(wire)
        await wire.greet()
        for message in messages:
            await wire.ask(message)
        return wire

    yield lambda relay, *messages: loop.run(begin(relay, *messages))
    for wire in wires:
        loop.run(leave(wire))
