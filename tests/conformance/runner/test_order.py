"""The order of the cases: fixed, whatever other plugins do, unless --shuffle is given."""

from __future__ import annotations

import re

from tests.conformance.commands import verify


def order(*options: str) -> list[str]:
    """Return the cases in the order of a run."""
    done = verify("127.0.0.1:1", "--collect-only", "-q", *options)
    assert done.code == 0, done.text
    return [line for line in done.text.splitlines() if "::" in line]


def test_the_order_is_fixed_unless_a_shuffle_is_requested() -> None:
    usual = order()
    assert order("--pytest=-p randomly") == usual
    shuffled = order("--shuffle=5")
    assert shuffled == order("--shuffle=5") != order("--shuffle=6")
    assert shuffled != usual
    assert sorted(shuffled) == sorted(usual)
    ends = [case for case in usual if "test_rate_limit_exceeded" in case]
    assert {shuffled.index(case) > len(usual) / 2 for case in ends} == {True}  # still the last


def test_the_seed_is_in_the_report() -> None:
    done = verify("--shuffle", "-n", "2", "--only", "CB-CMP-002", "--effort", "quick")
    assert done.code == 0, done.text
    assert re.search(r"cases shuffled by --shuffle=\d+", done.text), done.text
