"""`cbspec verify`: its arguments for pytest."""

from __future__ import annotations

import argparse

import pytest

from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.runner import command


def test_an_address_among_the_arguments_is_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def main(arguments: list[str]) -> pytest.ExitCode:
        calls.append(arguments)
        return pytest.ExitCode.TESTS_FAILED

    monkeypatch.setattr(pytest, "main", main)
    for given, passed in (
        ([], []),
        (["127.0.0.1:8080"], ["--target", "127.0.0.1:8080"]),
        (["127.0.0.1:8080", "-n", "2"], ["--target", "127.0.0.1:8080", "-n", "2"]),
        (["--only", "CB-TUN-004"], ["--only", "CB-TUN-004"]),
        (["--only", "CB-TUN-004", "[::1]:80"], ["--target", "[::1]:80", "--only", "CB-TUN-004"]),
        (["--target", "127.0.0.1:80"], ["--target", "127.0.0.1:80"]),
        (["no-address"], ["--target", "no-address"]),
    ):
        assert command.run(argparse.Namespace(arguments=given)) == 1
        assert calls.pop() == [*PYTEST_OPTIONS, str(SUITE), *passed]


def test_its_help_names_the_usual_options() -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    shown = parser.format_help()
    for option in ("--target-profile", "--only", "--wait", "--max-time", "--fail-on", "--require-all"):
        assert option in shown
