"""What came out so far, on disk."""

from __future__ import annotations

from pathlib import Path

from tests.adequacy.ledger import Ledger
from tests.adequacy.matrix import Row, Verdict
from tests.adequacy.subjects import Kind, Subject

KILLED = Row(Subject(Kind.DEVIATION, "a", "CB-TUN-007"), "auto", Verdict.KILLED, ("x::test",), ("CB-MSG-004",), "", 1.5)
SURVIVED = Row(Subject(Kind.DEVIATION, "b", "CB-TUN-008"), "auto", Verdict.SURVIVED)
SUBJECTS = [SURVIVED.subject, KILLED.subject]


def test_what_was_added_is_there_in_the_next_run_in_the_order_of_the_relays(tmp_path: Path) -> None:
    file = tmp_path / "state" / "rows.json"
    ledger = Ledger(file, SUBJECTS)
    ledger.add(KILLED)
    ledger.add(SURVIVED)
    again = Ledger(file, SUBJECTS)
    assert again.rows(SUBJECTS) == [SURVIVED, KILLED]
    assert again.is_settled(KILLED.subject, "auto")
    assert not again.has(KILLED.subject)
    assert not again.is_settled(KILLED.subject, "websocket")
    assert not again.is_settled(SURVIVED.subject, "auto")
    again.forget([KILLED.subject])
    assert again.rows(SUBJECTS) == [SURVIVED]
    assert again.seconds(KILLED.subject, "auto") == KILLED.seconds
    assert again.seconds(KILLED.subject, "websocket") == 0.0


def test_what_is_no_relay_any_more_or_breaks_something_else_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    Ledger(file, SUBJECTS).add(KILLED)
    assert Ledger(file, [SURVIVED.subject]).rows(SUBJECTS) == []
    assert Ledger(file, [Subject(Kind.DEVIATION, "a", "CB-TUN-009")]).rows(SUBJECTS) == []
