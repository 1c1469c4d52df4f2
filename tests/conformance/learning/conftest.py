"""Relays that are learned in tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cbspec.profile.profile import Profile, load
from cbspec_conformance.learning.comparison import compare
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.queries import Queries
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.learning.setting import LearningSetting
from cbspec_conformance.machines.machine import Difference, Machine
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
    setting = LearningSetting(profile, tenant=tenant)
    alphabet = setting.alphabet
    alphabet.letters = {name: alphabet.letters[name] for name in letters or alphabet.letters}
    usual = {"jobs": 8, "waiting": 32, "end": time.monotonic() + 100}
    queries = Queries(setting.relay, alphabet, setting.shared.clock, **{**usual, **options})
    return Learner(queries, reference(alphabet), setting.conduct)


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
