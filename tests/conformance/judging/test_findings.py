"""Findings as plain data."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cbspec_conformance.judging.findings import Finding, Outcome

TEXTS = st.text(max_size=10)
FINDINGS = st.builds(Finding, TEXTS, st.sampled_from(Outcome), TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)


@given(FINDINGS)
def test_findings_survive_serialisation(finding: Finding) -> None:
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))) == finding
