"""`cbspec verify`: what it hands to pytest."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import cbspec_conformance
from cbspec_conformance.runner import command


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ([], []),
        (["127.0.0.1:8080"], ["--target", "127.0.0.1:8080"]),
        (["127.0.0.1:8080", "-n", "2"], ["--target", "127.0.0.1:8080", "-n", "2"]),
        (["--only", "CB-TUN-004"], ["--only", "CB-TUN-004"]),
        (["--only", "CB-TUN-004", "[::1]:80"], ["--target", "[::1]:80", "--only", "CB-TUN-004"]),
        (["--target", "127.0.0.1:80"], ["--target", "127.0.0.1:80"]),
        (["no-address"], ["--target", "no-address"]),
    ],
)
def test_the_address_among_the_arguments_is_the_target(
    given: list[str], handed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def main(arguments: list[str]) -> pytest.ExitCode:
        calls.append(arguments)
        return pytest.ExitCode.TESTS_FAILED

    monkeypatch.setattr(pytest, "main", main)
    assert command.run(argparse.Namespace(arguments=given)) == 1
    (arguments,) = calls
    suite = Path(cbspec_conformance.__path__[0])
    assert arguments == ["-c", str(suite / "pytest.ini"), str(suite), *handed]


def test_its_help_names_the_usual_options() -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    shown = parser.format_help()
    for option in ("--target-profile", "--only", "--wait", "--max-time", "--fail-on", "--require-all"):
        assert option in shown
