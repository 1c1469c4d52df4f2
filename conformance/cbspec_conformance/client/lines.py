"""A situation of a client as lines of the stream of results."""

from __future__ import annotations

from cbspec_conformance.client.excerpt import exchanges_of, rows_of
from cbspec_conformance.client.run import Result
from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.judging.verdicts import worst
from cbspec_conformance.reporting.events import CaseReported
from cbspec_conformance.reporting.stream import lines_of_a_case


def lines_of(result: Result, now: float = 0.0) -> bytes:
    """Return the lines of a situation that has just ended, `now` seconds after the run began."""
    situation, seen = result.situation, result.seen
    seconds = max(seen.watched, seen.exit.at if seen.exit is not None else 0.0) if seen is not None else 0.0
    case = CaseReported(
        situation.name,
        situation.requirement,
        situation.about,
        worst(each.outcome for each in result.findings if each.requirement == situation.requirement),
        round(max(0.0, now - seconds), 3),
        round(seconds, 3),
        list(SITUATIONS).index(situation.name),
    )
    rows = rows_of(seen) if seen is not None else []
    return lines_of_a_case(case, exchanges_of(rows), result.findings)
