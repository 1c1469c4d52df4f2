"""Targets to try the suite on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cbspec.profile.issuer import Issuer
from cbspec.profile.profile import Profile
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Latency, Tempo
from cbspec_conformance.runner.embedded import embedded_simulator
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.locks import Locks
from cbspec_conformance.target.relay import RelayUnderTest


@pytest.fixture(scope="session")
def simulated() -> Iterator[Profile]:
    """Give the profile of an embedded simulator that the tests of a run share."""
    with embedded_simulator() as ready:
        profile = ready()
        yield profile


MakeTarget = Callable[..., RelayUnderTest]


@pytest.fixture
def make_target() -> Iterator[MakeTarget]:
    """Give a way to a target of some profile; what it opened is closed in the end."""
    made: list[RelayUnderTest] = []

    def make(profile: Profile, **facts: Any) -> RelayUnderTest:  # noqa: ANN401 - Facts' own members
        target = RelayUnderTest(
            profile,
            Facts(**{"features": ("multi_tenancy",), **facts}),
            "a case",
            locks=Locks(None),
            pace=Pacer(profile),
            issuer=Issuer(profile.tokens, time.time),
            tempo=Tempo.of(profile.target, Latency()),
        )
        made.append(target)
        return target

    yield make
    for target in made:
        target.close()
