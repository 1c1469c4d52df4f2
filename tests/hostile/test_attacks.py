"""During an attack other clients are answered in time, and the relay's memory is bounded."""

from __future__ import annotations

import pytest

from tests.hostile.measure import Waits, measure
from tests.support.few import few

ATTEMPTS = 3
SHORT = ("resets in every state", "50,000 duplicate keys")
"""Some attacks, the first in each build; `make hostile` measures all."""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", few(SHORT, 2))
def test_other_clients_are_answered_during_an_attack(name: str) -> None:
    found: list[Waits] = []
    for _ in range(ATTEMPTS):
        found.append(measure(name, 0.7))
        assert found[-1].samples > 50
        assert found[-1].memory < 300, "MiB, of which the relay without an attack takes eighty"
        if found[-1].ratio <= 2:
            return
    # On a busy machine any of the processes may wait now and then; an attack that blocks the relay adds hundreds of ms.
    best = min(found, key=lambda each: each.attacked)
    assert best.attacked < 2 * best.calm + 100.0, found
