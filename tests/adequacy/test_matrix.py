"""The judgement on the suite, from results made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adequacy.matrix import Row, Verdict, judge
from tests.adequacy.subjects import Kind, Subject

DEVIATION = Subject(Kind.DEVIATION, "port-ignored", "CB-TUN-007")
VARIANT = Subject(Kind.VARIANT, "dribble")
OPEN_POINT = Subject(Kind.OPEN_POINT, "terse", "CB-ERR-003")
CLEAN = Subject(Kind.CLEAN, "clean")


def results(*, green: bool = True, kit_errors: tuple[str, ...] = (), **outcomes: str) -> dict[str, Any]:
    """Return the results of a run in which some requirements came out in some way."""
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
        (DEVIATION, results(TUN_007="failed", green=False), Verdict.KILLED, ()),
        (DEVIATION, results(TUN_007="warned"), Verdict.KILLED, ()),
        (DEVIATION, results(TUN_007="failed", MSG_004="failed", green=False), Verdict.KILLED, ("CB-MSG-004",)),
        (DEVIATION, results(TUN_007="passed"), Verdict.SURVIVED, ()),
        (DEVIATION, results(TUN_007="inconclusive", green=False), Verdict.SURVIVED, ()),
        (DEVIATION, results(TUN_007="not exercised"), Verdict.SURVIVED, ()),
        (DEVIATION, results(TUN_007="passed", MSG_004="failed", green=False), Verdict.MISBLAMED, ("CB-MSG-004",)),
        (VARIANT, results(TUN_007="passed", MSG_004="not exercised"), Verdict.LEFT_ALONE, ()),
        (VARIANT, results(TUN_007="failed", green=False), Verdict.ACCUSED, ("CB-TUN-007",)),
        (VARIANT, results(TUN_007="warned"), Verdict.ACCUSED, ("CB-TUN-007",)),
        (VARIANT, results(TUN_007="inconclusive", green=False), Verdict.ACCUSED, ()),
        (CLEAN, results(TUN_007="warned"), Verdict.ACCUSED, ("CB-TUN-007",)),
        (OPEN_POINT, results(ERR_003="warned"), Verdict.LEFT_ALONE, ()),
        (OPEN_POINT, results(ERR_003="failed", green=False), Verdict.ACCUSED, ("CB-ERR-003",)),
    ],
)
def test_every_outcome_has_its_verdict(
    subject: Subject, found: dict[str, Any], verdict: Verdict, others: tuple[str, ...]
) -> None:
    row = judge(subject, "auto", found, 1.5)
    assert (row.verdict, row.others, row.seconds) == (verdict, others, 1.5)
    assert verdict.good is (verdict in (Verdict.KILLED, Verdict.LEFT_ALONE))


def test_the_cases_that_caught_a_deviation_are_named_and_no_others() -> None:
    assert judge(DEVIATION, "auto", results(TUN_007="failed", green=False)).cases == ("TUN_007[1]",)


@pytest.mark.parametrize(
    "found", ["the simulator didn't start", results(TUN_007="failed", kit_errors=("a\nKitError",))]
)
def test_without_results_of_the_relay_there_is_no_verdict(found: dict[str, Any] | str) -> None:
    row = judge(DEVIATION, "auto", found)
    assert row == Row(DEVIATION, "auto", Verdict.NO_VERDICT, remark=found if isinstance(found, str) else "KitError")
    assert not row.verdict.good
