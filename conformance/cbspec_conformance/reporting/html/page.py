"""The page of a run: verdict and subject, the failures, every requirement with its exchanges, and the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cbspec.catalogue.requirements import JudgedRole
from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.machines.drawing import RULES
from cbspec_conformance.reporting.html.assembly import minute, packed, render
from cbspec_conformance.reporting.html.machine import shown_machine
from cbspec_conformance.reporting.html.trace import diagram
from cbspec_conformance.reporting.html.view import MARKS, RunView, grouped, view
from cbspec_conformance.reporting.stream import RecordedCase, RecordedRun

_KEYS = (
    ("j k", "next and previous requirement"),
    ("n p", "next and previous broken requirement"),
    ("Enter", "open or close the requirement"),
    ("/", "find text"),
    ("f", "broken requirements only, and back"),
    ("c", "clear the filters"),
    ("t", "light or dark"),
    ("?", "this list"),
)
_TELLING = (Outcome.FAILED, Outcome.WARNED, Outcome.KNOWN, Outcome.FOLLOW_UP)


def page(run: RecordedRun) -> bytes:
    """Return the page of a run, compared with the run that it is `against`. The same run gives the same bytes."""
    shown, machine = view(run), shown_machine(run)
    return render(
        "page.html",
        "page.js",
        view=shown,
        facts=list(_facts(shown)),
        sections=[*([("machine", "State machine")] if machine else []), *_sections(shown)],
        chapters=[(chapter.code, chapter.title) for chapter in shown.chapters],
        marks={mark.name: mark for mark in MARKS.values()},
        keys=_KEYS,
        machine=machine,
        rules=RULES if machine else "",
        minute=minute,
        grouped=grouped,
        data=packed(_exchanges(run)),
    )


def _sections(shown: RunView) -> Iterator[tuple[str, str]]:
    for mark, title in (("failed", "Failed"), ("warned", "Warnings")):
        if shown.those(mark):
            yield mark, title
    if shown.run.against:
        yield "comparison", "Comparison"
    yield "requirements", "Requirements"
    if shown.unclear:
        yield "unclear", "Without a verdict"
    if shown.behaviours:
        yield "behaviour", "Behaviour"


def _facts(shown: RunView) -> Iterator[tuple[str, str]]:
    started, end = shown.run.started, shown.run.ended
    subject = started.subject
    websocket = ", WebSocket too" if subject.websocket and subject.transport == "tcp" else ""
    yield "Transport", f"{subject.transport}{websocket}"
    if subject.role is JudgedRole.RELAY:
        yield "TLS", ", ".join(filter(None, (subject.tls, subject.cipher))) or "no session"
        yield "Round trip", f"{subject.round_trip * 1000:.2f} ms" if subject.round_trip else "not measured"
        yield "Features", ", ".join(subject.features) or "none"
    yield "Began", minute(started.began)
    yield "Took", f"{end.seconds:.1f} s" if end else "unknown: the run has no end"
    yield "Catalogue", f"{started.catalogue} of specification {started.specification}, set {started.requirement_set}"
    yield "Kit", f"cbspec {started.kit}"
    options = " ".join(f"{name} {value}".strip() for name, value in started.options.items() if name != "--target")
    yield "Options", options or "defaults"
    if started.plan:
        yield "Properties", started.plan
    if started.baseline:
        yield "Baseline", f"{len(started.baseline)} known failures in {started.baseline_file}"


def _exchanges(run: RecordedRun) -> dict[str, Any]:
    """Return the data of the sequence diagrams."""
    return {
        "began": run.started.began.timestamp(),
        "role": run.started.subject.role.value,
        "cases": [_case(case, of_client=run.started.subject.role is JudgedRole.CLIENT) for case in run.cases],
    }


def _case(case: RecordedCase, *, of_client: bool) -> list[Any]:
    decisive = {place for each in case.findings if each.outcome in _TELLING for place in each.decisive}
    event = case.event
    return [round(event.at, 4), event.sources, event.identifiers, diagram(case.records, decisive, of_client=of_client)]
