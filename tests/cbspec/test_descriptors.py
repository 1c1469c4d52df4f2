"""File descriptors: as many as there are, and no end where a system refuses."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from cbspec.descriptors import take_all


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Give the limits, the usual one lowered, and put them back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = (min(512, before[0]), before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, lowered)
    yield lowered
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_all_are_taken_that_there_are(limits: tuple[int, int]) -> None:
    take_all()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limits[1], limits[1])


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_system_that_refuses_leaves_the_usual_limit(
    error: type[Exception], limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error("current limit exceeds maximum limit")

    with monkeypatch.context() as refusing:
        refusing.setattr(resource, "setrlimit", refuse)
        take_all()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
