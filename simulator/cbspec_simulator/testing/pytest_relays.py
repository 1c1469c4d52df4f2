"""The relays of a pytest run: each is set up as its test's marks say; the report of a failure has its transcript.

The summary of a run lists the faults that never struck.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest

from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.testing.relay import LocalRelay
from cbspec_simulator.testing.setup import Setup

T = TypeVar("T")

_SHARED: Final = ("relay_module", "relay_session")
_KEYS: Final = ("scenario", "config", "faults", "persona", "variant")
_NAME: Final = "cbspec-relays"


class RunningRelays:
    """The running relays by the names of their fixtures; a relay that tests share is reset before each test."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own
        self._item: pytest.Item | None = None
        self._relays: dict[str, LocalRelay] = {}
        self._unused: list[str] = []
        self._shared: dict[str, object] = {}  # the parameter of each shared fixture

    @classmethod
    def of(cls, config: pytest.Config, own: Mapping[str, str]) -> RunningRelays:
        """Return the relays of a run; the first call registers the hooks below.

        `own` names, for each fixture, another fixture that is among a test's fixture names if the plugin's fixture is
        used.
        """
        found = config.pluginmanager.get_plugin(_NAME)
        if not isinstance(found, RunningRelays):
            found = cls(own)
            config.pluginmanager.register(found, _NAME)
        return found

    @contextmanager
    def serve(self, request: pytest.FixtureRequest) -> Iterator[LocalRelay]:
        """Run the relay of a fixture until the fixture ends."""
        name, param = request.fixturename or "relay", getattr(request, "param", None)
        with _reported(lambda: LocalRelay(**_given(request.node, param))) as relay:
            self._relays[name] = relay
            if request.scope != "function":
                self._shared[name] = param
                if self._item is not None:
                    self._prepare(name, self._item)
            try:
                yield relay
            finally:
                del self._relays[name]
                self._shared.pop(name, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Set up the shared relays as the test's marks say.

        A mistake in a mark is reported before the fixture starts: a fixture that failed would fail later tests, too.
        """
        self._item = item
        for name in _SHARED:
            if self._uses(item, name) and name not in self._relays:
                _reported(Setup.of(**_given(item, _param(item, name))).check)
        for name in self._used(item):
            self._prepare(name, item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Let connections outlive the test if fixtures opened them: their fixtures close them."""
        for name in self._used(item):
            self._relays[name].keep_connections()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Undo the test's changes to shared relays before other fixtures end."""
        for name in self._used(item):
            self._relays[name].renew(lasting=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the transcripts to the report of a failure."""
        report = yield
        if report.failed:
            for name, relay in self._relays.items():
                if transcript := str(relay.transcript):
                    report.sections.append((f"transcript of {name}", transcript))
                if unused := relay.never_struck:
                    report.sections.append((f"faults of {name} without an effect", "\n".join(unused)))
        if report.when == "call":
            for name in {"relay", *self._used(item)} & self._relays.keys():
                self._unused += [f"{item.nodeid}: {line}" for line in self._relays[name].never_struck]
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the faults that never struck: their tests prove less than they seem to."""
        if self._unused:
            terminalreporter.section("faults without an effect")
            for line in self._unused:
                terminalreporter.line(line)

    def _used(self, item: pytest.Item) -> list[str]:
        return [name for name in self._shared if self._uses(item, name)]

    def _uses(self, item: pytest.Item, name: str) -> bool:
        return self._own[name] in getattr(item, "fixturenames", ())

    def _prepare(self, name: str, item: pytest.Item) -> None:
        relay = self._relays[name]
        setup = Setup.of(**_given(item, self._shared[name]))
        if setup == relay.setup:
            relay.transcript.clear()
        else:
            _reported(lambda: relay.renew(setup, lasting=True))


def _given(node: Any, param: object) -> dict[str, Any]:  # noqa: ANN401 - pytest's nodes have no common public type
    given: dict[str, Any] = {} if param is None else {"scenario": param}
    for mark in node.iter_markers("relay"):
        given = {**_arguments(mark), **given}  # the nearest mark comes first
    return {**given, "folder": node.path.parent if node.path.is_file() else node.path}


def _param(item: pytest.Item, name: str) -> object:
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get(name)


def _arguments(mark: pytest.Mark) -> dict[str, Any]:
    given: dict[str, Any] = {**dict(zip(("scenario",), mark.args, strict=False)), **mark.kwargs}
    unknown = [name for name in given if name not in _KEYS]
    if unknown or len(mark.args) > 1:
        wrong = f"no argument {unknown[0]}" if unknown else "at most one positional argument, the scenario"
        pytest.fail(f"@pytest.mark.relay takes {wrong}; its arguments are {', '.join(_KEYS)}", pytrace=False)
    return given


def _reported(make: Callable[[], T]) -> T:
    """Return the result; report a mistake in a test's marks without a traceback of the kit."""
    try:
        return make()
    except ConfigError as error:
        mistake = str(error)
    pytest.fail(f"@pytest.mark.relay: {mistake}", pytrace=False)
