"""A pytest plugin for other people's projects: a relay for their client's tests, as the fixture `relay`.

pytest loads it wherever the kit is installed, so it imports nothing of the simulator until a relay is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from cbspec_simulator.testing.pytest_turns import WIDE, Turns, scenarios_of

if TYPE_CHECKING:
    from cbspec_simulator.testing import LocalRelay

_FIXTURES: Final = ("relay", *WIDE)
_MARK: Final = (
    "relay(scenario, config=..., faults=[...], persona=..., variant=...): how the test's relay is set up; "
    "a list of scenarios tries the test by each (cbspec simulate --list-scenarios)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have relays ready for who wants one, by each scenario that is named."""
    wanted = [name for name in _FIXTURES if name in metafunc.fixturenames]
    if not wanted:
        return
    Turns.of(metafunc.config)
    if scenarios := scenarios_of(metafunc):
        metafunc.parametrize(wanted[0], scenarios, indirect=True)


@pytest.fixture
def relay(request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
    """Give a relay for one test; `@pytest.mark.relay` says how it is set up."""
    yield from _serve(request)


@pytest.fixture(scope="module")
def relay_module(request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
    """Give a relay for a module's tests, for clients that live as long; it begins anew for each test.

    Connections that fixtures have opened stay, those of a test's body are dropped. Who moves the clock, or wants
    another persona or variant than the test before, ends all of them.
    """
    yield from _serve(request)


@pytest.fixture(scope="session")
def relay_session(request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
    """Give a relay for a whole run, as `relay_module` does for a module."""
    yield from _serve(request)


def _serve(request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
    with Turns.of(request.config).serve(request) as relay:
        yield relay
