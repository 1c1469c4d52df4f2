"""Others hardly notice a hostile peer, and the relay's memory keeps its bounds."""

from __future__ import annotations

import pytest

from tests.hostile.beside import Found, measure

ROUNDS = 3
"""Attempts: whatever else the machine does touches a short measurement more than any attack."""

SHORT = ("half messages", "64 MiB lines", "10^6-deep JSON", "50,000 duplicate keys", "resets in every state")
"""What is tried here: an attack of each kind. `make hostile` measures them all."""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SHORT)
def test_others_are_answered_while_one_attacks(name: str) -> None:
    found: list[Found] = []
    for _ in range(ROUNDS):
        found.append(measure(name, 0.7, idle=False))
        assert found[-1].samples > 50
        assert found[-1].memory < 300, "MiB, of which the relay itself takes eighty"
        if found[-1].ratio <= 2:
            return
    # A machine with more to do than processors lets any of the three processes wait now and then; an attack that holds
    # the relay itself up adds hundreds of milliseconds.
    best = min(found, key=lambda each: each.attacked)
    assert best.attacked < 2 * best.calm + 100.0, found
