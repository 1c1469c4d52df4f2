"""Relays around pytest's tests: each begins as its test's marks say; the report of a failure holds its transcript.

What a relay is made of is imported when the first one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

if TYPE_CHECKING:
    from cbspec_simulator.testing.relay import LocalRelay
    from cbspec_simulator.testing.setup import Setup

T = TypeVar("T")

WIDE: Final = ("relay_module", "relay_session")
"""The fixtures whose relay outlives a test."""

_KEYS: Final = ("scenario", "config", "faults", "persona", "variant")
_NAME: Final = "cbspec-relays"


class Turns:
    """The relays that are there now, by fixture; those of a wider scope than a test's begin anew for each test."""

    def __init__(self) -> None:
        self._item: pytest.Item | None = None
        self._relays: dict[str, LocalRelay] = {}
        self._wide: dict[LocalRelay, object] = {}

    @classmethod
    def of(cls, config: pytest.Config) -> Turns:
        """Return those of a run; its hooks are there from the first call on."""
        found = config.pluginmanager.get_plugin(_NAME)
        if not isinstance(found, Turns):
            found = cls()
            config.pluginmanager.register(found, _NAME)
        return found

    @contextmanager
    def serve(self, request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
        """Give the relay of a fixture, by the marks of its test, for as long as the fixture lasts."""
        from cbspec_simulator.testing.relay import LocalRelay

        name, param = request.fixturename or "relay", getattr(request, "param", None)
        with _understood(lambda: LocalRelay.of(_setup(request.node, param))) as relay:
            self._relays[name] = relay
            if request.scope != "function":
                self._wide[relay] = param
                if self._item is not None:
                    self._begin(relay, self._item)
            try:
                yield relay
            finally:
                del self._relays[name]
                self._wide.pop(relay, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Have the relays of a wider scope begin as the test's marks say.

        A mistake is found before the fixture is: that would fail for the tests behind this one as well.
        """
        self._item = item
        for name in WIDE:
            if name in getattr(item, "fixturenames", ()) and name not in self._relays:
                _understood(_setup(item, _param(item, name)).check)
        for relay in self._used(item):
            self._begin(relay, item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Keep what fixtures have opened: only they know when it is to be closed."""
        for relay in self._used(item):
            relay.keep_connections()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Undo what the test has done to relays of a wider scope, before anybody else leaves them."""
        for relay in self._used(item):
            relay.renew(lasting=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show in the report of a failure what was said."""
        report = yield
        if report.failed:
            for name, relay in self._relays.items():
                if said := str(relay.transcript):
                    report.sections.append((f"transcript of {name}", said))
        return report

    def _used(self, item: pytest.Item) -> list[LocalRelay]:
        names = getattr(item, "fixturenames", ())
        return [relay for name, relay in self._relays.items() if relay in self._wide and name in names]

    def _begin(self, relay: LocalRelay, item: pytest.Item) -> None:
        setup = _setup(item, self._wide[relay])
        if setup == relay.setup:
            relay.transcript.clear()
        else:
            _understood(lambda: relay.renew(setup, lasting=True))


def scenarios_of(metafunc: pytest.Metafunc) -> list[str] | None:
    """Return the scenarios by each of which a test is to be tried, where its marks name several."""
    for mark in metafunc.definition.iter_markers("relay"):
        scenario = _said(mark).get("scenario")
        if scenario is not None:
            return list(scenario) if isinstance(scenario, list | tuple) else None
    return None


def _setup(node: Any, param: object) -> Setup:  # noqa: ANN401 - pytest's nodes have no common public type
    from cbspec_simulator.testing.setup import Setup

    said: dict[str, Any] = {} if param is None else {"scenario": param}
    for mark in node.iter_markers("relay"):
        said = {**_said(mark), **said}  # the nearest mark comes first
    return Setup.of(**said, folder=node.path.parent if node.path.is_file() else node.path)


def _param(item: pytest.Item, name: str) -> object:
    """Return the scenario that pytest tries a test by, if it tries several."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get(name)


def _said(mark: pytest.Mark) -> dict[str, Any]:
    """Return what a mark says; one argument without a name is the scenario."""
    said: dict[str, Any] = {**dict(zip(("scenario",), mark.args, strict=False)), **mark.kwargs}
    unknown = [name for name in said if name not in _KEYS]
    if unknown or len(mark.args) > 1:
        what = f"no {unknown[0]}" if unknown else "one argument without a name, the scenario"
        pytest.fail(f"@pytest.mark.relay takes {what}; it takes {', '.join(_KEYS)}", pytrace=False)
    return said


def _understood(make: Callable[[], T]) -> T:
    """Make something of what a test's marks say; a mistake in them is shown without our own frames."""
    from cbspec_simulator.settings.config import ConfigError

    try:
        return make()
    except ConfigError as error:
        said = str(error)
    pytest.fail(f"@pytest.mark.relay: {said}", pytrace=False)
