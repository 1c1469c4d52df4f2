"""The verdicts on the suite and their document, from results made by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.adequacy.matrix import SuiteVerdict, judge
from tests.adequacy.subjects import Subject, SubjectKind, subjects
from tests.repo.tree import ROOT, text

DEVIATION = Subject(SubjectKind.DEVIATION, "port-ignored", "CB-TUN-007")
VARIANT = Subject(SubjectKind.VARIANT, "dribble")
OPEN_POINT = Subject(SubjectKind.OPEN_POINT, "terse", "CB-ERR-003")
CLEAN = Subject(SubjectKind.CLEAN, "clean")


def results(*, green: bool = True, kit_errors: tuple[str, ...] = (), **outcomes: str) -> dict[str, Any]:
    """Return the results of a run with these outcomes of requirements."""
    return {
        "green": green,
        "kit_errors": list(kit_errors),
        "requirements": {
            f"CB-{name.replace('_', '-')}": {
                "outcome": outcome,
                "findings": [{"outcome": outcome, "case": f"{name}[1]"}, {"outcome": "passed", "case": "other"}],
            }
            for name, outcome in outcomes.items()
        },
    }


@pytest.mark.parametrize(
    ("subject", "found", "verdict", "others"),
    [
        (DEVIATION, results(TUN_007="warned"), SuiteVerdict.KILLED, ()),
        (DEVIATION, results(TUN_007="failed", MSG_004="failed", green=False), SuiteVerdict.KILLED, ("CB-MSG-004",)),
        (DEVIATION, results(TUN_007="inconclusive", green=False), SuiteVerdict.SURVIVED, ()),
        (DEVIATION, results(TUN_007="passed", MSG_004="failed", green=False), SuiteVerdict.MISBLAMED, ("CB-MSG-004",)),
        (VARIANT, results(TUN_007="passed", MSG_004="not exercised"), SuiteVerdict.LEFT_ALONE, ()),
        (VARIANT, results(TUN_007="inconclusive", green=False), SuiteVerdict.ACCUSED, ()),
        (CLEAN, results(TUN_007="warned"), SuiteVerdict.ACCUSED, ("CB-TUN-007",)),
        (OPEN_POINT, results(ERR_003="warned"), SuiteVerdict.LEFT_ALONE, ()),
        (OPEN_POINT, results(ERR_003="failed", green=False), SuiteVerdict.ACCUSED, ("CB-ERR-003",)),
        (DEVIATION, "no relay", SuiteVerdict.NO_VERDICT, ()),
        (DEVIATION, results(TUN_007="failed", kit_errors=("a\nKitError",)), SuiteVerdict.NO_VERDICT, ()),
    ],
)
def test_every_outcome_has_its_verdict(
    subject: Subject, found: dict[str, Any] | str, verdict: SuiteVerdict, others: tuple[str, ...]
) -> None:
    row = judge(subject, "auto", found)
    assert (row.verdict, row.others) == (verdict, others)
    assert verdict.good is (verdict in (SuiteVerdict.KILLED, SuiteVerdict.LEFT_ALONE))
    assert row.cases == (("TUN_007[1]",) if verdict is SuiteVerdict.KILLED else ())


def test_the_committed_matrix_holds_every_deviation_and_no_bad_verdict() -> None:
    matrix = text(ROOT / "docs" / "kill-matrix.md")
    rows = re.findall(r"^\| (CB-\S+) \| (`.+?`) \| (.+?) \|", matrix, re.MULTILINE)
    written = [(requirement, id_, verdict) for requirement, ids, verdict in rows for id_ in re.findall("`(.+?)`", ids)]
    judged = [subject for subject in subjects() if subject.kind is SubjectKind.DEVIATION]
    assert sorted(written) == sorted((one.requirement, one.id, "killed") for one in judged), "run make adequacy"
    counts = re.findall(r"\| (\d+) \| (\d+) \|$", matrix, re.MULTILINE)
    assert all(runs == good for runs, good in counts)
