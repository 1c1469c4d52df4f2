"""Others hardly notice a hostile peer, and the relay's memory keeps its bounds."""

from __future__ import annotations

import pytest

from tests.hostile.attacks import ATTACKS
from tests.hostile.beside import Found, measure

ROUNDS = 4
"""Attempts: whatever else the machine does touches a short measurement more than any attack."""


@pytest.mark.parametrize("name", ATTACKS)
def test_others_are_answered_while_one_attacks(name: str) -> None:
    found: list[Found] = []
    for _ in range(ROUNDS):
        found.append(measure(name, 0.7))
        assert found[-1].samples > 50
        assert found[-1].memory < 300, "MiB, of which the relay itself takes fifty"
        if found[-1].ratio <= 2:
            return
    # A machine with more to do than processors lets any of the three processes wait now and then; an attack that holds
    # the relay itself up adds hundreds of milliseconds.
    best = min(found, key=lambda each: each.attacked)
    assert best.attacked < 2 * best.calm + 20.0, found
