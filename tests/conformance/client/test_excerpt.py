"""What was observed of a client, as rows and as text."""

from __future__ import annotations

from cbspec_conformance.client.excerpt import excerpt, rows_of
from cbspec_conformance.client.observed import Observation, OutputLine


def test_an_empty_line_of_output_is_a_line() -> None:
    seen = Observation(output=[OutputLine(0.5, "stdout", ""), OutputLine(0.6, "stdout", "up")])
    assert [row["record"] for row in rows_of(seen)] == ["Output", "Output"]
    assert excerpt(seen).splitlines() == ["    0.500 stdout:", "    0.600 stdout: up"]
