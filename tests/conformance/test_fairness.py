"""Behaviour that the specification permits, or that breaks only a SHOULD, fails no MUST: runs against the simulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.commands import simulator, verdict, verify


def test_a_warning_ends_no_case_of_a_limit(tmp_path: Path) -> None:
    with simulator(tmp_path, "--deviation", "tunnel-for-another-tenant-unanswered") as profile:
        done = verify("--target-profile", str(profile), "-k", "any_order", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (0, 0)
    assert verdict(done.text, "warned") == done.text.count("  CB-TEN-007  SHOULD") == 1


@pytest.mark.parametrize(
    ("pool", "variation", "failed", "inconclusive"),
    [
        (4, ("--variant", "close-after-error"), 0, False),
        (6, ("--deviation", "relay-connections-late"), 0, True),
        (7, ("--deviation", "relay-connections-late"), 1, True),
    ],
)
def test_a_pool_is_no_limit_of_connections(
    pool: int, variation: tuple[str, ...], failed: int, inconclusive: bool, tmp_path: Path
) -> None:
    """If the pool has no room for a tunnel on each of six connections, its refusal proves nothing."""
    config = tmp_path / "relay.toml"
    config.write_text(f"[relay]\nconnection_limit = 6\nbuffer_pool = {pool}\n")
    with simulator(tmp_path, "--config", str(config), *variation) as profile:
        profile.write_text(re.sub(r"\[conditions\.connection_limit\][^\[]*", "", profile.read_text()))
        done = verify(
            "--target-profile", str(profile), "-k", "connection_limit_reached", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
    assert verdict(done.text, "failed") == done.text.count("  CB-CON-002  MUST") == failed
    assert verdict(done.text, "warned") == 0
    assert (verdict(done.text, "inconclusive") > 0) is inconclusive
