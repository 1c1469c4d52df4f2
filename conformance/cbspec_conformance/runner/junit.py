"""Completes pytest's JUnit report: pytest itself knows neither requirements nor inconclusive cases."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from cbspec_conformance.judging.verdicts import TIME_UP, Outcome

_ERRORS: Final = (f"{Outcome.INCONCLUSIVE}: ", f"{Outcome.NOT_EXERCISED}: {TIME_UP}")
"""The beginnings of a skipped case's message that make it an error: it has no verdict, although it could have one."""


def complete(report: Path) -> None:
    """Put the requirement before the name of each case, and make cases without a verdict errors. Raises OSError."""
    document = ElementTree.parse(report)  # noqa: S314 - pytest has written it
    for suite in document.iter("testsuite"):
        errors = sum(_complete(case) for case in suite.iter("testcase"))
        suite.set("errors", str(int(suite.get("errors", "0")) + errors))
        suite.set("skipped", str(int(suite.get("skipped", "0")) - errors))
    document.write(report, encoding="utf-8", xml_declaration=True)


def _complete(case: ElementTree.Element) -> bool:
    """Complete one case; return whether it became an error."""
    named = [each.get("value", "") for each in case.iter("property") if each.get("name") == "requirement"]
    if named:
        case.set("name", f"{named[0]} {case.get('name', '')}")
    skipped = case.find("skipped")
    if skipped is None or not skipped.get("message", "").startswith(_ERRORS):
        return False
    skipped.tag = "error"
    skipped.attrib.pop("type", None)
    return True
