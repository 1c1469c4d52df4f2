"""The limit of file descriptors."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from cbspec.descriptors import raise_limit


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Lower the soft limit during a test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowered = (min(512, before[0]), before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, lowered)
    yield lowered
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_the_hard_one(limits: tuple[int, int]) -> None:
    raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limits[1], limits[1])


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_system_that_refuses_keeps_its_limit(
    error: type[Exception], limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error("current limit exceeds maximum limit")

    with monkeypatch.context() as refusing:
        refusing.setattr(resource, "setrlimit", refuse)
        raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
