"""One browser for all tests of the page, and a relay for each test, in an event loop of another thread."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import ControlSettings, Listen
from tests.simulator.control.page.browser import Browser, opened
from tests.support.client import AsyncClient

Talk = Callable[..., AsyncClient]


async def leave(wire: AsyncClient) -> None:
    """Abort a connection and wait until it is closed."""
    wire.writer.transport.abort()
    with contextlib.suppress(OSError, ssl.SSLError):
        await wire.writer.wait_closed()


@pytest.fixture(scope="package")
def window() -> Iterator[Browser]:
    with opened() as browser:
        yield browser


@pytest.fixture
def loop() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def relay(loop: BlockingPortal) -> Iterator[Simulator]:
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=0)))
    loop.call(simulator.start)
    yield simulator
    loop.call(simulator.close)


@pytest.fixture
def browser(window: Browser, relay: Simulator) -> Iterator[Browser]:
    """Lend the browser; at the end, before its relay is closed, it must have no complaints."""
    window.complaints()
    window.scheme("light")
    window.size(1440, 900)
    yield window
    assert window.complaints() == []
    window.leave()


@pytest.fixture
def talk(loop: BlockingPortal) -> Iterator[Talk]:
    """Return a function that connects, authenticates and asks; its connections stay open until the test ends."""
    wires = []

    async def begin(relay: Simulator, *messages: bytes) -> AsyncClient:
        wire = await AsyncClient(relay.address).__aenter__()
        wires.append(wire)
        await wire.greet()
        for message in messages:
            await wire.ask(message)
        return wire

    yield lambda relay, *messages: loop.call(begin, relay, *messages)
    for wire in wires:
        loop.call(leave, wire)
