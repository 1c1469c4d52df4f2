"""The pytest plugin with the fixture `relay`: a simulated relay for the tests of a client.

pytest loads this module in every project of an environment that has the kit. It therefore imports pytest and the
standard library only, and does nothing until a test requests one of its fixtures.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from cbspec_simulator.testing.pytest_relays import RunningRelays
    from cbspec_simulator.testing.relay import LocalRelay

OWN: Final = {
    "relay": "_cbspec_relay",
    "relay_module": "_cbspec_relay_module",
    "relay_session": "_cbspec_relay_session",
}
"""For each fixture, a second one that it requests: a test whose fixture names hold the second uses this plugin's.

A project's own fixture `relay` doesn't request it, so the project's marks named `relay` are left alone.
"""

_MARK: Final = (
    "relay(scenario, config=..., faults=[...], persona=..., variant=...): the setup of the test's relay; "
    "a list of scenarios runs the test once with each (cbspec simulate --list-scenarios)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", _MARK)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once with each scenario that its mark lists."""
    requested = [name for name, own in OWN.items() if own in metafunc.fixturenames]
    if not requested:
        return
    with contextlib.suppress(ImportError):  # reported by the fixture: an error here would end the whole run
        _relays(metafunc.config)
    scenarios = next(filter(None, map(_scenario, metafunc.definition.iter_markers("relay"))), None)
    if isinstance(scenarios, list | tuple):
        metafunc.parametrize(requested[0], scenarios, indirect=True)


@pytest.fixture
def relay(request: pytest.FixtureRequest, _cbspec_relay: None) -> Iterator[LocalRelay]:
    """Start a relay for one test; `@pytest.mark.relay` gives its setup."""
    yield from _serve(request)


@pytest.fixture(scope="module")
def relay_module(request: pytest.FixtureRequest, _cbspec_relay_module: None) -> Iterator[LocalRelay]:
    """Start a relay for the tests of a module; each test finds it in its initial state.

    Connections that fixtures opened stay open; those of a test's body are dropped. If a test advances the clock, or
    has another persona or variant than the test before, all connections end.
    """
    yield from _serve(request)


@pytest.fixture(scope="session")
def relay_session(request: pytest.FixtureRequest, _cbspec_relay_session: None) -> Iterator[LocalRelay]:
    """Start a relay for a whole run, with the behaviour of `relay_module`."""
    yield from _serve(request)


_cbspec_relay, _cbspec_relay_module, _cbspec_relay_session = (
    pytest.fixture(scope="session")(lambda: None) for _ in OWN
)


def _serve(request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
    try:
        relays = _relays(request.config)
    except ImportError as error:
        pytest.fail(f"the fixture {request.fixturename} can't be used: {error}; {_remedy(error)}", pytrace=False)
    with relays.serve(request) as relay:
        yield relay


def _relays(config: pytest.Config) -> RunningRelays:
    from cbspec_simulator.testing.pytest_relays import RunningRelays

    return RunningRelays.of(config, OWN)


def _scenario(mark: pytest.Mark) -> Any:  # noqa: ANN401 - checked when the relay starts
    return mark.kwargs.get("scenario", mark.args[0] if mark.args else None)


def _remedy(error: ImportError) -> str:
    package, dot, _ = (error.name or "").partition(".")
    file = getattr(sys.modules.get(package), "__file__", None)
    if dot and file:
        return f"{file} hides the package {package} of the kit: rename it"
    return "run: pip install cbspec"
