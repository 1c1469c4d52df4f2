"""The mutants as a document, and whether the one in docs/ is about today's reasons."""

from __future__ import annotations

import pytest

from tests.adequacy.mutants.known import Known, LeftOut, Reason, read
from tests.repo.tree import ROOT, text

KNOWN = Known(
    ("m.py",), (LeftOut("m.py", ("draw",), "It draws."),), (Reason("equivalent", "Slow.", ("m.py f: 1 -> 2",)),)
)


def test_every_survivor_is_shown_with_its_reason() -> None:
    pytest.importorskip("mutmut", reason="the extra `mutation` isn't installed")
    from tests.adequacy.mutants.document import write
    from tests.adequacy.mutants.mutations import Mutant
    from tests.adequacy.mutants.verdicts import Verdict

    mutants = [Mutant("m.py", "f", str(number), str(number + 1), 1, "") for number in range(1, 5)]
    ends = ["", "failed CB-TUN-001", "warned CB-TUN-012", "inconclusive CB-RAT-001"]
    verdicts = {
        mutant.id: Verdict(mutant.id, killed=bool(end), by=end, seconds=1.0)
        for mutant, end in zip(mutants, ends, strict=True)
    }
    written = write(KNOWN, mutants, verdicts)
    assert "| `m.py` | 4 | 1 | 1 | 1 | 1 |" in written
    assert "| `m.py` | `draw` | It draws. |" in written
    assert "Slow.\n\n```diff\n@@ m.py f @@\n-1\n+2\n```" in written
    assert "## Survivors without a reason" not in written
    assert "## Survivors without a reason" in write(Known(("m.py",), (), ()), mutants, verdicts)


def test_the_document_in_docs_gives_today_s_reasons() -> None:
    document = " ".join(text(ROOT / "docs" / "mutants.md").split())
    assert "## Survivors without a reason" not in document
    for reason in read().reasons:
        assert " ".join(reason.why.split()) in document, "run make mutants"
