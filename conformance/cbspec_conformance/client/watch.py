"""How long a situation is watched: until the client has shown what the rules need, or for as long as it may take.

`due` is called after each event and returns the time at which the watch ends unless something else happens.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.observed import ClientConnection, Observation
from cbspec_conformance.client.situations import STEPS, Kind, Situation

_FOREVER: Final = float("inf")
_SETTLE: Final = 0.3
"""Seconds for the messages that a client sends together, and for its output."""

_QUIET: Final = 2.5
"""Seconds without a request after which a clean session is complete: heartbeats of up to one second are learned."""

_AFTER_EXIT: Final = 0.1
"""Seconds in which the relay still reads the last messages of a client that has ended."""

_RESTLESS: Final = 10.0
"""Seconds after its first request from which a client is taken for one that never becomes quiet."""

_TLS_WINDOW: Final = 1.5
"""Seconds after a failed handshake in which a client may fall back to another one."""

_UNDECLARED_TIMEOUT: Final = 35.0
"""Seconds after which a client hangs that declares no time-out: deployed clients wait for 30."""

_UNDECLARED_BEAT: Final = 40.0
"""Seconds in which a client notices a lost connection that declares no heartbeat interval: deployed ones take 30."""

_MOST_ATTEMPTS: Final = 25
_ORDER: Final = tuple(STEPS)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for what, in seconds."""

    answer: float
    retry: float
    retries: float
    loss: float
    beats: float


def limits(profile: ClientProfile, habits: Habits, *, quick: bool) -> Limits:
    """Return the limits for a client; in a quick run, what isn't declared is not waited for as long."""
    declared = profile.answer_timeout is not None
    answer = profile.answer_timeout + 3.0 if profile.answer_timeout is not None else _UNDECLARED_TIMEOUT
    interval = profile.heartbeat_interval or habits.interval
    delay = profile.reconnect_delay
    loss = (2 * interval + 8.0) if interval is not None else _UNDECLARED_BEAT
    missed = (profile.heartbeat_failures + 1) * ((interval or 0.0) + min(profile.answer_timeout or 5.0, 10.0)) + 2.0
    beats = min(missed, 60.0) if declared else max(_UNDECLARED_TIMEOUT, missed)
    return Limits(
        answer=min(answer, 8.0) if quick and not declared else answer,
        retry=(delay + 1.0) if delay is not None else (1.0 if quick else 3.0),
        retries=4.0 if quick else 20.0,
        loss=(delay or 0.0) + (min(loss, 12.0) if quick else loss),
        beats=min(beats, 8.0) if quick and not declared else beats,
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """The watch of one situation."""

    situation: Situation
    profile: ClientProfile
    habits: Habits
    limits: Limits

    def due(self, seen: Observation) -> float:
        """Return when the watch ends if nothing else happens, in seconds since the situation began."""
        if seen.exit is not None:
            return seen.exit.at + _AFTER_EXIT
        kind = self.situation.kind
        if kind is Kind.CLEAN:
            return self._clean(seen)
        if kind is Kind.DOWN:
            return self.habits.ready + 2.0
        if kind is Kind.UNTRUSTED and not self.situation.drop:
            return self._untrusted(seen, 0)
        if kind is Kind.UPGRADE:
            return self._upgrade(seen)
        if kind in (Kind.TOLERATED, Kind.OBSERVED):
            return self._as_usual(seen)
        if (struck := seen.struck) is None:
            return self._reach
        if kind is Kind.UNTRUSTED:
            return self._untrusted(seen, struck)
        if kind is Kind.SILENT:
            return self._failure(seen, struck, self._silence)
        if kind is Kind.RETRIED:
            return 0.0 if len(seen.strikes) >= _MOST_ATTEMPTS else struck + self.limits.retries
        if kind in (Kind.LOST, Kind.DROPPED):
            return self._loss(seen, struck)
        return self._refusal(seen, struck)

    @property
    def _reach(self) -> float:
        """When a situation must have struck."""
        return 3 * self.habits.ready + self.profile.start_time + self._first_beat

    @property
    def _first_beat(self) -> float:
        if self.situation.step != "heartbeat":
            return 0.0
        return 2 * (self.habits.first_beat or self.profile.heartbeat_interval or 0.0)

    @property
    def _silence(self) -> float:
        beats = self.situation.step == "heartbeat"
        return self.limits.beats if beats else self.limits.answer

    def is_up(self, seen: Observation, now: float) -> bool:
        """Whether the client has done everything that it does before it is idle."""
        return any(not self.habits.lacking(each) for each in seen.connections) and now - _last_request(seen) > _SETTLE

    def _clean(self, seen: Observation) -> float:
        if not any(each.messages for each in seen.connections):
            return self.profile.start_time
        requests = [m.at for c in seen.connections for m in c.messages if m.type != "heartbeat"] or [0.0]
        declared = self.profile.heartbeat_interval
        quiet = max(_QUIET, 3.5 * declared if declared is not None else 0.0)
        return min(max(requests), min(requests) + _RESTLESS) + quiet

    def _untrusted(self, seen: Observation, since: float) -> float:
        tried = [each for each in seen.connections if each.at > since]
        if any(each.of("auth") for each in tried):
            return 0.0
        failed = [each.at for each in tried if each.handshake.failure or each.handshake.plain or each.ended]
        if failed:
            return failed[0] + _TLS_WINDOW + (self.limits.retry if since == 0 else 0.0)
        return since + self.limits.loss if since else self._reach

    def _upgrade(self, seen: Observation) -> float:
        if any(each.messages for each in seen.connections):
            return 0.0
        ended = [each.ended for each in seen.connections if each.ended is not None]
        return ended[0] + _TLS_WINDOW if ended else self._reach + self.limits.retry

    def _as_usual(self, seen: Observation) -> float:
        full = [each for each in seen.connections if not self.habits.lacking(each)]
        limit = self._reach + 5.0
        if not full or not self.habits.stays:
            return limit
        if self.habits.interval is None or self.habits.interval > 3.0:
            return _last_request(seen) + 0.5 + 2 * _SETTLE
        beats = full[0].of("heartbeat")
        return beats[0].at + _SETTLE if beats else limit

    def _failure(self, seen: Observation, struck: float, limit: float) -> float:
        """Return the time for a situation that a client must notice: by closing, trying again, or going on."""
        concerned = {strike.connection for strike in seen.strikes}
        closed = [
            each.ended
            for each in seen.connections
            if each.number in concerned and each.by == "client" and each.ended is not None
        ]
        if later := next_requests(self.situation, self.habits, self.profile, seen):
            return later[0][0] + _SETTLE
        again = [each.at for each in seen.connections if each.at > struck]
        if closed or again:
            return min(struck + limit, max([*closed[:1], *again[:1]]) + self.limits.retry)
        return struck + limit

    def _refusal(self, seen: Observation, struck: float) -> float:
        if self.situation.step == "tunnel_info" and self.habits.stays:
            interval = self.habits.interval or self.profile.heartbeat_interval
            shown = 2.5 * interval if interval is not None and interval <= 4.0 else 0.0
            return self._failure(seen, struck, max(self.limits.retry, shown))
        if self.situation.step == "heartbeat":
            return self._failure(seen, struck, self.limits.beats)
        return self._failure(seen, struck, self.limits.answer)

    def _loss(self, seen: Observation, struck: float) -> float:
        later = [each for each in seen.connections if each.at > struck]
        if not later:
            lost = self.limits.loss if self.situation.kind is Kind.DROPPED else self.limits.answer
            return struck + lost
        if self.situation.kind is Kind.LOST:
            return later[0].at + self.limits.retry
        if any(not self.habits.lacking(each) for each in later):
            return max(_last_request(seen), later[0].at) + 2 * _SETTLE
        return later[0].at + 5.0 + 3 * self.habits.ready


def _last_request(seen: Observation) -> float:
    """Return the time of the last request other than a heartbeat."""
    return max((each.at for connection in seen.connections for each in connection.of(*_ORDER[:-1])), default=0.0)


def next_requests(
    situation: Situation, habits: Habits, profile: ClientProfile, seen: Observation
) -> list[tuple[float, str]]:
    """Return the requests after the first strike, on its connection, that only make sense if it was a success."""
    if not situation.step:
        return []
    first = {strike.connection: strike for strike in reversed(seen.strikes)}
    found = [
        _next_on(seen.connection(strike.connection), strike.at, situation, habits, profile) for strike in first.values()
    ]
    return sorted(itertools.chain.from_iterable(found))


def _next_on(
    connection: ClientConnection | None, struck: float, situation: Situation, habits: Habits, profile: ClientProfile
) -> list[tuple[float, str]]:
    if connection is None:
        return []
    if situation.step == "heartbeat":
        beats = connection.of("heartbeat", since=struck)
        return [(each.at, each.type) for each in beats] if len(beats) >= profile.heartbeat_failures + 2 else []
    if situation.step == "tunnel_info" and situation.kind is Kind.REFUSED:
        return []  # a client may stay up without its tunnel
    later = [step for step in _ORDER[_ORDER.index(situation.step) + 1 :] if step not in habits.pipelined]
    return [(each.at, each.type) for each in connection.of(*later, since=struck)]
