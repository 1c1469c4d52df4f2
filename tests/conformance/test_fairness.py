"""Behaviour that the specification permits, or that breaks only a SHOULD, fails no MUST: runs against the simulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.commands import simulator, verdict, verify


@pytest.mark.parametrize(
    ("config", "variation", "cases", "counts"),
    [
        # A warning ends no case about limits.
        ("", ("--deviation", "tunnel-for-another-tenant-unanswered"), "any_order", (0, 1, False)),
        # If the pool has no room for a tunnel on each of six connections, its refusal proves nothing.
        ("buffer_pool = 4", ("--variant", "close-after-error"), "connection_limit_reached", (0, 0, False)),
        ("buffer_pool = 6", ("--deviation", "relay-connections-late"), "connection_limit_reached", (0, 0, True)),
    ],
    ids=["warning", "small-pool", "late"],
)
def test_no_must_fails(
    config: str, variation: tuple[str, ...], cases: str, counts: tuple[int, int, bool], tmp_path: Path
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f"[relay]\nconnection_limit = 6\n{config}\n" if config else "")
    with simulator(tmp_path, "--config", str(file), *variation) as profile:
        if config:
            profile.write_text(re.sub(r"\[conditions\.connection_limit\][^\[]*", "", profile.read_text()))
        done = verify(
            "--target-profile", str(profile), "-k", cases, "--examples", "20", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
    found = [verdict(done.text, column) for column in ("failed", "warned", "inconclusive")]
    assert (found[0], found[1], found[2] > 0) == counts, done.text
