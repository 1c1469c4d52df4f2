"""What a run has learned about room, shared by its processes."""

from __future__ import annotations

from pathlib import Path

from cbspec_conformance.target.ledger import PAUSES, Ledger


def test_a_loss_is_known_to_every_process_of_the_run(tmp_path: Path) -> None:
    one, other, alone = Ledger(tmp_path), Ledger(tmp_path), Ledger()
    for ledger in (one, alone):
        ledger.add("CB-LIM-008", "a second auth")
    assert one.lost == other.lost == alone.lost == {"CB-LIM-008": "a second auth"}
    assert Ledger().lost == {}


def test_a_return_after_ten_seconds_is_no_loss() -> None:
    assert max(PAUSES) > 10.0
    assert list(PAUSES) == sorted(PAUSES)
