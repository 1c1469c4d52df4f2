"""The reaction of a client to the situation that it was put in, in the terms of the client table."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cbspec_conformance.client.habits import usual_form
from cbspec_conformance.client.observed import Exit
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.situations import Kind
from cbspec_conformance.client.watch import next_requests


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the client did after the situation struck.

    `struck` is the time of the strike. `went_on` says how it showed that it takes the step for a success, "" if it
    didn't. `said` are lines of output that no clean session has. `closed` and `again` are the times at which it closed
    the struck connection and at which it made a new one. `attempts` are the times of the refused attempts.
    """

    struck: float
    went_on: str
    said: tuple[str, ...]
    closed: float | None
    again: float | None
    attempts: tuple[float, ...]
    end: Exit | None

    @property
    def gave_up(self) -> bool:
        """Whether the client waits no longer: it has ended, closed the connection, or tried again."""
        return self.closed is not None or self.again is not None or self.end is not None or len(self.attempts) > 1

    @property
    def acted(self) -> bool:
        """Whether the client has done anything at all: it gave up, or said something."""
        return self.gave_up or bool(self.said)


def reaction(case: SituationCase) -> Reaction | None:
    """Return the reaction to the first strike, or None if the situation never struck."""
    seen = case.seen
    struck = seen.struck
    if struck is None:
        return None
    until = seen.asked
    said = tuple(
        line
        for line in seen.lines(since=struck, until=until)
        if line.strip() and usual_form(line) not in case.habits.usual
    )
    numbers = {strike.connection for strike in seen.strikes}
    concerned = [each for each in seen.connections if each.number in numbers or (seen.acted and each.at <= struck)]
    closed = [each.ended for each in concerned if each.by == "client" and each.ended is not None and each.ended < until]
    again = [each.at for each in seen.connections if each.at > struck]
    return Reaction(
        struck=struck,
        went_on=_went_on(case, struck, until, said),
        said=said,
        closed=min(closed, default=None),
        again=min(again, default=None),
        attempts=_attempts(case),
        end=seen.ended_itself,
    )


def _went_on(case: SituationCase, struck: float, until: float, said: tuple[str, ...]) -> str:
    """Return how the client showed that it takes the step for a success, or ""."""
    situation, habits, seen = case.situation, case.habits, case.seen
    if later := next_requests(situation, habits, case.profile, seen):
        at, type_ = later[0]
        quiet = situation.step not in ("tunnel_info", "heartbeat") or not said
        if quiet:
            return f"sends {type_} {at - struck:.1f} s later"
    end = seen.ended_itself
    if end is not None and (end.code or end.signal):
        return ""
    lines = seen.lines(since=struck, until=until)
    if case.profile.up is not None:
        claimed = [line for line in lines if re.search(case.profile.up, line)]
    else:
        claims = habits.claims.get(situation.step, frozenset())
        claimed = [line for line in lines if usual_form(line) in claims]
    if claimed and situation.step != "heartbeat":
        return f"prints {claimed[0]!r:.60}"
    if situation.kind in (Kind.REFUSED, Kind.BROKEN, Kind.SILENT) and situation.step in (
        "hello",
        "auth",
        "tunnel_info",
    ):
        ports = [port for port, is_open in seen.ports.items() if is_open and port in habits.listens]
        if ports:
            return f"its local port {ports[0]} accepts connections"
    if end is not None and end.code == 0 and not said and not habits.stays:
        return "ends with exit code 0 like a clean session"
    return ""


def _attempts(case: SituationCase) -> tuple[float, ...]:
    """Return the times of the attempts that were refused; several tunnels of a client are one attempt."""
    strikes = case.seen.strikes
    if case.situation.step == "heartbeat":
        first = {strike.connection: strike.at for strike in reversed(strikes)}
        return tuple(sorted(first.values()))  # another heartbeat on the same connection is no new attempt
    each = case.habits.counts.get(case.situation.step, 1) if case.situation.step == "tunnel_info" else 1
    by_connection: dict[int, list[float]] = {}
    for strike in strikes:
        by_connection.setdefault(strike.connection, []).append(strike.at)
    return tuple(sorted(time for times in by_connection.values() for time in times[:: max(1, each)]))
