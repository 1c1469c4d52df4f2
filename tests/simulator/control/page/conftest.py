"""One browser for all tests of the page, and a relay for each test, in an event loop of another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cbspec_simulator import Config, Simulator
from cbspec_simulator.settings.config import ControlSettings, Listen
from cbspec_simulator.testing.thread import LoopThread
from tests.simulator.control.page.browser import Browser, opened
from tests.support.client import RawClient

Talk = Callable[..., RawClient]


@pytest.fixture(scope="package")
def window() -> Iterator[Browser]:
    with opened() as browser:
        yield browser


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("relays")
    yield thread
    thread.close()


@pytest.fixture
def relay(loop: LoopThread) -> Iterator[Simulator]:
    simulator = Simulator(Config(listen=Listen(port=0), control=ControlSettings(port=0)))
    loop.run(simulator.start())
    yield simulator
    loop.run(simulator.close())


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
def talk(loop: LoopThread) -> Iterator[Talk]:
    """Return a function that connects, authenticates and asks; its connections stay open until the test ends."""
    with ExitStack() as stack:

        def begin(relay: Simulator, *messages: dict[str, object]) -> RawClient:
            client = stack.enter_context(RawClient(relay.address).handshake())
            client.enter()
            for message in messages:
                client.ask(message)
            return client

        yield begin
