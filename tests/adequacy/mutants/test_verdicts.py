"""Verdicts on mutants: kept from run to run, and held against the reasons that were given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adequacy.mutants.known import Known, Reason
from tests.adequacy.mutants.verdicts import Kept, Verdict, complaints

KILLED = Verdict("a", killed=True, by="failed CB-TUN-001", seconds=1.5)
ALIVE = Verdict("b", killed=False, by="", seconds=20.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository with one source."""
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "relay.py").write_text("1\n")
    kept = Kept.open(tmp_path)
    kept.add(KILLED)
    kept.add(ALIVE)
    return tmp_path


def test_verdicts_outlive_an_interruption(root: Path) -> None:
    assert Kept.open(root).verdicts == {"a": KILLED, "b": ALIVE}


@pytest.mark.parametrize("folder", ["cbspec", "simulator", "schemas", "conformance"])
def test_verdicts_are_forgotten_when_relay_or_suite_changes(root: Path, folder: str) -> None:
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "new.py").write_text("2\n")
    assert Kept.open(root, trust=True).verdicts == {"a": KILLED}
    assert Kept.open(root).verdicts == {"a": KILLED}, "what is trusted once is kept with the new sources"


def test_without_trust_everything_is_forgotten(root: Path) -> None:
    (root / "simulator" / "relay.py").write_text("2\n")
    assert Kept.open(root).verdicts == {}


@pytest.mark.parametrize(
    ("reasons", "complaint"),
    [
        (("b",), []),
        ((), ["survived, and survivors.toml doesn't say why: b"]),
        (("a", "b"), ["killed (failed CB-TUN-001), but survivors.toml says why it lives: a"]),
        (("b", "c"), ["in survivors.toml, but no mutant: c"]),
    ],
)
def test_survivors_and_reasons_belong_together(reasons: tuple[str, ...], complaint: list[str]) -> None:
    known = Known((), (), (Reason("equivalent", "It is slower.", reasons),))
    assert complaints(known, {"a": KILLED, "b": ALIVE}) == complaint


def test_a_part_of_the_mutants_says_nothing_about_the_rest() -> None:
    known = Known((), (), (Reason("equivalent", "It is slower.", ("b", "c")),))
    assert complaints(known, {"b": ALIVE}, whole=False) == []
