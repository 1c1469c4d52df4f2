"""Targets for tests of the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cbspec.profile.profile import Profile
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts
from tests.support.tls import write_certificates

MakeTarget = Callable[..., RelayUnderTest]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of `our` and `their` certificates and CAs."""
    return write_certificates(tmp_path_factory.mktemp("certificates"), "our", "their")


@pytest.fixture(scope="session")
def simulated() -> Iterator[Profile]:
    """Give the profile of an embedded simulator that all tests share."""
    with embedded_simulator() as ready:
        yield ready()


@pytest.fixture
def make_target() -> Iterator[MakeTarget]:
    """Give a function that returns the target of a profile, with some facts; the targets are closed at the end."""
    made: list[RelayUnderTest] = []

    def make(profile: Profile, **facts: Any) -> RelayUnderTest:  # noqa: ANN401 - Facts' own members
        known = Facts(**{"features": ("multi_tenancy",), **facts})
        target = RelayUnderTest(SharedParts(profile), known, "a case")
        made.append(target)
        return target

    yield make
    for target in made:
        target.close()
