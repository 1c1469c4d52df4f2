"""A relay for the tests of a module, reset before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cbspec_simulator import LocalRelay


@pytest.fixture(scope="module")
def served() -> Iterator[LocalRelay]:
    with LocalRelay() as relay:
        yield relay


@pytest.fixture
def relay(served: LocalRelay) -> LocalRelay:
    served.reset()
    return served
