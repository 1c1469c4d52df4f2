"""`cbspec verify`: its arguments for pytest."""

from __future__ import annotations

import argparse
from unittest.mock import Mock

import pytest

from cbspec_conformance import PYTEST_OPTIONS, SUITE
from cbspec_conformance.runner import command


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], []),
        (["127.0.0.1:8080", "-n", "2"], ["--target", "127.0.0.1:8080", "-n", "2"]),
        (["--only", "CB-TUN-004"], ["--only", "CB-TUN-004"]),
        (["--only", "CB-TUN-004", "[::1]:80"], ["--target", "[::1]:80", "--only", "CB-TUN-004"]),
        (["--target", "127.0.0.1:80"], ["--target", "127.0.0.1:80"]),
        (["no-address"], ["--target", "no-address"]),
    ],
)
def test_an_address_among_the_arguments_is_the_target(
    given: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main = Mock(return_value=pytest.ExitCode.TESTS_FAILED)
    monkeypatch.setattr(pytest, "main", main)
    assert command.run(argparse.Namespace(arguments=given)) == 1
    main.assert_called_once_with([*PYTEST_OPTIONS, str(SUITE), *passed])
