"""What a relay is free in, and what draws a warning only, costs it no MUST: whole runs against the simulator."""

from __future__ import annotations

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
