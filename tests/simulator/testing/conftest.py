"""A relay for the tests of one module, as new for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cbspec_simulator import LocalRelay


@pytest.fixture(scope="module")
def served() -> Iterator[LocalRelay]:
    """Run a relay for a module."""
    with LocalRelay() as relay:
        yield relay


@pytest.fixture
def relay(served: LocalRelay) -> LocalRelay:
    """Reset the module's relay for a test."""
    served.reset()
    return served
