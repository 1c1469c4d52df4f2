"""The plugin's entry: the embedded simulator starts before the suite is imported, if one is needed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.runner import entry


class ConfigDouble(SimpleNamespace):
    """The parts of pytest's configuration that the entry uses."""

    def __init__(self, **options: object) -> None:
        super().__init__(option=SimpleNamespace(**{"collectonly": False, "help": False, **options}))
        self.cleanups: list[Any] = []
        self.pluginmanager = SimpleNamespace(register=lambda plugin: None)
        self.add_cleanup = self.cleanups.append

    def addinivalue_line(self, name: str, line: str) -> None:
        pass


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record the calls to simulator and suite."""
    happened: list[str] = []

    @contextmanager
    def simulator() -> Iterator[object]:
        happened.append("started")
        yield Profile
        happened.append("stopped")

    def suite(config: object, options: object, profile: object, embedded: object, briefing: object) -> None:
        happened.append(f"suite of {'the embedded simulator' if embedded else profile}")

    monkeypatch.setattr(entry, "embedded_simulator", simulator)
    monkeypatch.setattr("cbspec_conformance.runner.plugin.Suite", suite)
    monkeypatch.setattr(entry, "read_options", lambda config: None)
    monkeypatch.setattr(entry, "read_profile", lambda options: None)
    before = signal.getsignal(signal.SIGTERM)
    yield happened
    signal.signal(signal.SIGTERM, before)


def test_the_simulator_starts_before_the_suite_and_stops_with_pytest(log: list[str]) -> None:
    config = ConfigDouble()
    entry.pytest_configure(config)  # type: ignore[arg-type]
    assert log == ["started", "suite of the embedded simulator"]
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    for cleanup in config.cleanups:
        cleanup()
    assert log[2:] == ["stopped"]


def test_no_simulator_starts_for_a_named_relay_or_if_no_case_runs(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in ("collectonly", "help"):
        entry.pytest_configure(ConfigDouble(**{option: True}))  # type: ignore[arg-type]
    monkeypatch.setattr(entry, "read_profile", lambda options: "a profile")
    entry.pytest_configure(ConfigDouble())  # type: ignore[arg-type]
    assert log == ["suite of None", "suite of None", "suite of a profile"]
