"""What a relay is free in, and what draws a warning only, costs it no MUST: whole runs against the simulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.commands import simulator, verdict, verify


@pytest.mark.parametrize(
    ("deviation", "warned"),
    [("tunnel-for-another-tenant-wrong-code", 0), ("tunnel-for-another-tenant-unanswered", 1)],
)
def test_a_warning_ends_no_case_of_a_limit(tmp_path: Path, deviation: str, warned: int) -> None:
    """The wrong code says that a limit is hit, which may be so: of that the run says nothing here."""
    with simulator(tmp_path, "--deviation", deviation) as profile:
        done = verify("--target-profile", str(profile), "-k", "any_order", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive")) == (0, 0)
    assert verdict(done.text, "warned") == done.text.count("  CB-TEN-007  SHOULD") == warned


@pytest.mark.parametrize("pool", [4, 6, 7])
@pytest.mark.parametrize(
    ("arguments", "failed"),
    [(("--variant", "close-after-error"), 0), (("--deviation", "relay-connections-late"), 1)],
    ids=["conforming", "one too many"],
)
def test_a_pool_is_no_limit_of_connections(tmp_path: Path, pool: int, arguments: tuple[str, ...], failed: int) -> None:
    """Where the pool has no room for a tunnel on each connection, what it refuses is nobody's fault and no proof."""
    config = tmp_path / "relay.toml"
    config.write_text(f"[relay]\nconnection_limit = 6\nbuffer_pool = {pool}\n")
    with simulator(tmp_path, "--config", str(config), *arguments) as profile:
        text = profile.read_text()
        profile.write_text(re.sub(r"\[conditions\.connection_limit\][^\[]*", "", text))
        done = verify(
            "--target-profile", str(profile), "-k", "connection_limit_reached", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
    if pool == 6 and failed:  # the pool refuses the seventh
        assert (verdict(done.text, "failed"), verdict(done.text, "inconclusive") > 0) == (0, True)
        return
    assert verdict(done.text, "failed") == done.text.count("  CB-CON-002  MUST") == failed
    assert verdict(done.text, "warned") == 0
    assert (verdict(done.text, "inconclusive") > 0) == bool(failed)
