"""Where pytest begins: the embedded simulator starts at once, where one is wanted at all, and ends with pytest."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.runner import entry
from tests.conformance.commands import verify


class Config(SimpleNamespace):
    """As much of pytest's configuration as the entry looks at."""

    def __init__(self, **options: object) -> None:
        super().__init__(option=SimpleNamespace(collectonly=False, help=False, **options))
        self.cleanups: list[Any] = []
        self.registered: list[Any] = []
        self.pluginmanager = SimpleNamespace(register=self.registered.append)

    def addinivalue_line(self, name: str, line: str) -> None:
        pass

    def add_cleanup(self, cleanup: object) -> None:
        self.cleanups.append(cleanup)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give what becomes of a simulator, without one."""
    happened: list[str] = []

    @contextmanager
    def beginning() -> Iterator[object]:
        happened.append("begun")
        yield Profile
        happened.append("ended")

    class Suite:
        def __init__(self, config: object, options: object, profile: object, embedded: object) -> None:
            happened.append(f"suite of {'the embedded simulator' if embedded else profile}")

    monkeypatch.setattr(entry, "beginning_simulator", beginning)
    monkeypatch.setattr("cbspec_conformance.runner.plugin.Suite", Suite)
    monkeypatch.setattr(entry, "read_options", lambda config: None)
    before = signal.getsignal(signal.SIGTERM)
    yield happened
    signal.signal(signal.SIGTERM, before)


def test_the_simulator_is_on_its_way_before_the_suite(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "read_profile", lambda options: None)
    config = Config()
    entry.pytest_configure(config)  # type: ignore[arg-type]
    assert log == ["begun", "suite of the embedded simulator"]
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    for cleanup in config.cleanups:
        cleanup()
    assert log[2:] == ["ended"]


def test_a_named_relay_needs_none(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "read_profile", lambda options: "a profile")
    entry.pytest_configure(Config())  # type: ignore[arg-type]
    assert log == ["suite of a profile"]


@pytest.mark.parametrize("option", ["collectonly", "help"])
def test_where_nothing_runs_nothing_starts(log: list[str], monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr(entry, "read_profile", lambda options: None)
    config = Config()
    setattr(config.option, option, True)
    entry.pytest_configure(config)  # type: ignore[arg-type]
    assert log == ["suite of None"]


def test_cases_can_be_listed_without_a_relay() -> None:
    done = verify("--collect-only", "-q", "--only", "CB-HEL-001")
    assert done.code == 0
    assert "test_1_hello.py" in done.text
