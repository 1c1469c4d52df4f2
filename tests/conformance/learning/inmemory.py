"""Learning a relay in memory: a word takes a millisecond, so that every known deviation can be learned."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import MagicMock

from cbspec.profile.profile import Profile
from cbspec_conformance.learning.alphabet import Alphabet
from cbspec_conformance.learning.comparison import compare
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.learning.learner import learn
from cbspec_conformance.learning.queries import Queries
from cbspec_conformance.learning.reference import reference
from cbspec_conformance.machines.machine import CLOSED, CONNECTED, NO_ANSWER, NONE_DUE, Difference, Word
from cbspec_simulator.variations.parts import Change
from tests.simulator.variations.conversations import INPUTS, TENANTS
from tests.support.memory import MemoryRelay, tunnel

ALPHABET = Alphabet(MagicMock(profile=Profile(tenants=TENANTS)), TENANTS[0])


class MemoryQueries(Queries):
    """Queries of a relay in memory. Each word has a relay of its own, and no TLS session is resumed."""

    def __init__(self, change: Change) -> None:
        nothing: Any = None
        super().__init__(nothing, ALPHABET, time)  # the module is a clock
        self._change = change

    def _run(self, word: Word, *, patiently: bool = False) -> Word:
        self.made += 1
        self.steps += len(word)
        memory = MemoryRelay(*TENANTS, change=self._change)
        client, outputs, tenant = memory.client(), list[str](), "a"
        for letter in word:
            if letter in ("reconnect", "resume"):
                client, tenant = memory.client(), "a"
                outputs.append(CONNECTED)
                continue
            if letter == "KeyUpdate":
                outputs.append(NONE_DUE)
                continue
            answers = [] if client.closed else client.send(tunnel("s", tenant) if "same" in letter else INPUTS[letter])
            last = answers[0] if answers else {"type": CLOSED if client.closed else NO_ANSWER}
            outputs.append(f"error {last['code']}" if last["type"] == "error" else last["type"])
            if outputs[-1] == "auth_response":
                tenant = last["tenant_id"]
        return tuple(outputs)


def differences(change: Change, walks: int) -> list[Difference]:
    """Return the differences of a relay from the specification's machine."""
    known = reference(ALPHABET)
    machine = learn(MemoryQueries(change), known, walks=walks)
    return compare(machine, known, Conduct(ALPHABET, tenancy=True))
