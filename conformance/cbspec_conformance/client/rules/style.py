"""Rules for conforming relays with another style, and for points that the specification leaves open."""

from __future__ import annotations

from cbspec_conformance.client.habits import main_connection
from cbspec_conformance.client.rules.case import SituationCase


def _as_usual(case: SituationCase) -> str:
    """Return how the session differs from the clean one, or ""."""
    seen, habits = case.seen, case.habits
    end = seen.ended_itself
    if end is not None and (habits.stays or end.code != habits.exit_code or end.signal):
        return f"ends with {end.signal or f'exit code {end.code}'}"
    if not seen.connections:
        return "never connects"
    best = main_connection(seen)
    if lacking := habits.lacking(best):
        return f"sends no {lacking[0]}"
    interval = habits.interval
    if habits.stays and interval is not None and interval <= 3.0 and not best.of("heartbeat"):
        return "sends no heartbeat"
    if habits.stays and best.by == "client" and best.ended is not None and best.ended < seen.asked:
        return "closes the connection"
    return "doesn't end" if not habits.stays and end is None else ""


def judge_tolerated(case: SituationCase, quick: bool) -> None:
    """Judge a session with a conforming relay that has another style."""
    situation = case.situation
    difference = _as_usual(case)
    if difference:
        case.broken(situation.requirement, f"the usual session although {situation.about}", difference)
        return
    if situation.name == "websocket-pings":
        _pongs(case)
    case.passed(situation.requirement)


def _pongs(case: SituationCase) -> None:
    pongs = [pong for frames in case.seen.websockets for pong in frames.pongs]
    if not pongs:
        case.broken("CC-WSK-004", "a pong for each ping", "none")
    elif any(pong != b"how are you" for pong in pongs):
        case.broken("CC-WSK-004", "pongs with the ping's payload", "another payload")


def judge_observed(case: SituationCase, quick: bool) -> None:
    """Record the behaviour on a point that the specification leaves open."""
    difference = _as_usual(case)
    case.saw(case.situation.requirement, case.situation.name, difference or "works as usual")
