"""Broken requests between valid ones: against the simulator, in the order in which they are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.commands import simulator, verdict, verify


@pytest.mark.parametrize(
    ("deviation", "requirement"),
    [("remote-port-zero-accepted", "CB-TUN-010"), ("local-port-over-65535-wrong-code", "CB-TUN-007")],
)
def test_a_near_miss_that_is_accepted_fails_its_requirement(tmp_path: Path, deviation: str, requirement: str) -> None:
    with simulator(tmp_path, "--deviation", deviation) as profile:
        done = verify("--target-profile", str(profile), "-k", "near_misses", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (1, 0)
    assert f"  {requirement}  MUST" in done.text
