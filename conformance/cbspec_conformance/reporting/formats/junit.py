"""JUnit XML as Jenkins' schema has it: a suite for each requirement, whose properties describe the requirement."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from cbspec_conformance.reporting.formats.cases import CaseStatus, ReportedCase, cases_of
from cbspec_conformance.reporting.stream import RecordedRun

_NO_XML: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS: Final = {CaseStatus.FAILED: "failure", CaseStatus.ERROR: "error", CaseStatus.SKIPPED: "skipped"}


def render(run: RecordedRun) -> bytes:
    """Return the report."""
    cases = sorted(cases_of(run), key=_suite_of)
    root = Element("testsuites", {"name": run.started.subject.name, **_counts(cases, skipped=False)})
    for name, of in groupby(cases, _suite_of):
        _add_suite(root, run, name, list(of))
    ElementTree.indent(root)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _NO_XML.sub("\ufffd", value))
        element.text = _NO_XML.sub("\ufffd", element.text) if element.text else None
    text: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return text + b"\n"


def _suite_of(case: ReportedCase) -> str:
    return case.row.id if case.row is not None else case.group


def _add_suite(root: Element, run: RecordedRun, name: str, cases: list[ReportedCase]) -> None:
    began = run.started.began.strftime("%Y-%m-%dT%H:%M:%S")
    suite = SubElement(root, "testsuite", {"name": name, **_counts(cases, skipped=True), "timestamp": began})
    row = cases[0].row
    if row is not None:
        properties = SubElement(suite, "properties")
        about = {"requirement": row.id, "level": row.level, "section": row.section, "demand": row.demand}
        for key, value in about.items():
            SubElement(properties, "property", {"name": key, "value": value})
    for case in cases:
        _add_case(suite, case)


def _add_case(suite: Element, case: ReportedCase) -> None:
    classname = case.group.removesuffix(".py").replace("/", ".")
    test = SubElement(suite, "testcase", {"name": case.name, "classname": classname, "time": f"{case.seconds:.3f}"})
    element = _ELEMENTS.get(case.status)
    if element == "skipped":
        SubElement(test, element).text = case.message
    elif element is not None:
        SubElement(test, element, {"message": case.message}).text = case.detail
    remark = [case.message, case.detail] if case.status is CaseStatus.PASSED else []
    notes = [case.about, *remark, *(f"{name}: {value}" for name, value in case.facts)]
    if any(notes):
        SubElement(test, "system-out").text = "\n".join(filter(None, notes))


def _counts(cases: list[ReportedCase], *, skipped: bool) -> dict[str, str]:
    found = [case.status for case in cases]
    counts = {
        "tests": len(found),
        "failures": found.count(CaseStatus.FAILED),
        "errors": found.count(CaseStatus.ERROR),
        **({"skipped": found.count(CaseStatus.SKIPPED)} if skipped else {}),
    }
    return {**{name: str(count) for name, count in counts.items()}, "time": f"{sum(c.seconds for c in cases):.3f}"}
