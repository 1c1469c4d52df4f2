"""How many cases run at the same time, by the relay's distance and by what it serves at once."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from math import ceil
from typing import Final

from cbspec.profile.profile import Profile
from cbspec_conformance.judging import judge
from cbspec_conformance.judging.errors import Inconclusive, NotExercised, RateLimited
from cbspec_conformance.probe.session import ProbeSession
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.waits import at_once
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.relay import RelayUnderTest

_BY_DISTANCE: Final = ((0.002, 2 * (os.cpu_count() or 1) + 4), (0.01, 20), (0.03, 32))
_MOST: Final = 48
"""Cases at the same time for the seconds of a round trip: up to each, and beyond."""

_WAITING: Final = 16  # cases at the same time, at least, if some wait for answers that don't come
_CONNECTIONS_OF_A_CASE: Final = 4
_TUNNELS_OF_A_CASE: Final = 2  # on average; a case that meets a full pool begins again alone
_SPARE: Final = 8  # connections: some cases open several
_GAIN: Final = 2.0  # how much faster requests must be served at once than one by one
_SLOW: Final = 0.05  # seconds of an answer above which the relay's own time matters more than this machine's


def with_jobs(target: RelayUnderTest, facts: Facts, wanted: int | None) -> Facts:
    """Add the number of cases to run at the same time, and of connections that the relay serves if they are few.

    `wanted` is the number of cases that the user wants. Without it, a relay that serves one connection after the other
    gets one case at a time.
    """
    trip = facts.latency.trip
    if trip == 0.0:
        return replace(facts, jobs=wanted or 1)
    jobs = jobs_within(target.profile, wanted or _by_distance(target.profile, facts))
    declared = target.profile.relay.connection_limit
    connections = min(filter(None, (jobs + _SPARE, declared, target.profile.target.connections_at_once)))
    began = target.clock.monotonic()
    served = _served_at_once(target, connections)
    taken = target.clock.monotonic() - began
    target.close()
    if served < connections:
        few = max(1, served) if declared is None else None  # the cases of a declared limit judge it
        return replace(facts, jobs=min(jobs, max(1, served // _CONNECTIONS_OF_A_CASE)), connections=few)
    one_by_one = connections * (facts.latency.handshake + facts.latency.hello)
    serial = wanted is None and trip > _SLOW and one_by_one < _GAIN * taken
    return replace(facts, jobs=1 if serial else jobs)


def _by_distance(profile: Profile, facts: Facts) -> int:
    if facts.unanswered:
        return _MOST  # nearly all wait for nothing
    trip = facts.latency.trip
    wanted = next((count for seconds, count in _BY_DISTANCE if trip < seconds), _MOST)
    if (bound := profile.target.requests_per_second) is not None:
        wanted = min(wanted, ceil(bound * trip) + 1)  # more would only wait for their turn
    return wanted


def jobs_within(profile: Profile, wanted: int) -> int:
    """Return the number of cases that may run at once by the limits that the profile declares."""
    target, relay = profile.target, profile.relay
    limits = (
        (target.connections_at_once, _CONNECTIONS_OF_A_CASE),
        (relay.connection_limit, _CONNECTIONS_OF_A_CASE),
        (relay.buffer_pool, _TUNNELS_OF_A_CASE),
    )
    return max(1, min([wanted, *(limit // each for limit, each in limits if limit is not None)]))


def jobs_while_waiting(profile: Profile, facts: Facts, began_with: int) -> int:
    """Return the number of cases to run at once when some wait for answers that don't come.

    A bound of connections is shared out among those that a run began with.
    """
    if facts.bound(profile) is not None:
        return began_with
    return max(began_with, jobs_within(profile, _WAITING))


def _served_at_once(target: RelayUnderTest, count: int) -> int:
    """Return the number of connections whose hello is accepted while all of them are open."""

    def hello() -> bool:
        with contextlib.suppress(Unreachable, HandshakeFailure, Inconclusive, NotExercised, RateLimited):
            session: ProbeSession = target.connect(judged=False)
            return judge.served(session.hello())
        return False

    return sum(at_once([hello] * count))
