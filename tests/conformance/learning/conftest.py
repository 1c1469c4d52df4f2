"""Relays that are learned in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from cbspec.profile.profile import Profile, load
from cbspec_conformance.learning.alphabet import Alphabet
from cbspec_conformance.learning.comparison import Difference, compare
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.machine import Machine
from cbspec_conformance.learning.queries import Queries
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preflight import examine
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts
from tests.support.processes import served


class Learner(NamedTuple):
    """The parts of one learning."""

    queries: Queries
    known: Machine
    conduct: Conduct

    def machine(self, walks: int = 3) -> Machine:
        """Learn the relay, with few random words."""
        return learn(self.queries, self.known, walks=walks)


def learner_of(profile: Profile, *letters: str, tenant: str = "", **options: Any) -> Learner:  # noqa: ANN401 - of `Queries`
    """Return the parts for the relay of a profile; `letters` are the inputs (default: all), `tenant` is tenant A."""
    target = RelayUnderTest(SharedParts(profile), Facts(), "learn")
    facts = examine(target)
    target.close()
    shared = SharedParts(profile, facts.latency)

    def make() -> RelayUnderTest:
        return RelayUnderTest(shared, facts, "learn")

    alphabet = Alphabet(make(), profile.tenant(tenant))
    alphabet.letters = {name: alphabet.letters[name] for name in letters or alphabet.letters}
    queries = Queries(
        make, alphabet, shared.clock, **{"jobs": 8, "waiting": 32, "end": time.monotonic() + 100, **options}
    )
    return Learner(queries, reference(alphabet), Conduct(alphabet, tenancy=True))


def over(profile: Profile, transport: Literal["tcp", "websocket"]) -> Profile:
    """Return the profile with another transport."""
    return replace(profile, target=replace(profile.target, transport=transport))


LearnRelay = Callable[..., tuple[Machine, list[Difference]]]


@pytest.fixture
def learned(tmp_path: Path) -> LearnRelay:
    """Give a function that starts a simulator with some options and returns its machine and the differences."""

    def learn_relay(*options: str) -> tuple[Machine, list[Difference]]:
        with served(tmp_path, *options) as relay:
            parts = learner_of(load(relay.profile_file))
            machine = parts.machine()
        return machine, compare(machine, parts.known, parts.conduct)

    return learn_relay
