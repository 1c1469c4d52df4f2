"""Time-outs, calibrated by the relay's measured latency within the bounds of the profile.

A fence tells "ignored" from "late" without waiting; a whole time-out is spent only if no fence can be sent. Every wait
that timed out is recorded in the transcript (`Waited`), and later waits of that kind are shorter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from cbspec.profile.profile import TargetSettings
from cbspec_conformance.probe.awaited import ANY_REFUSAL
from cbspec_conformance.record.cost import Timekeeper

_Made = TypeVar("_Made")

_TIMES: Final = 20  # time-out as a multiple of the slowest measured answer: other requests may take longer
_BEFORE_A_FENCE: Final = 3  # time before a fence is sent, as a multiple of the slowest measured answer
PATIENCE: Final = 0.5  # least seconds without an answer before a fence is sent: a busy machine causes shorter delays
_BRIEFLY: Final = 0.05  # least seconds before a fence after an unterminated message: most relays wait for its rest
_SLOW: Final = 0.1  # seconds for an answer above which a relay is slow: fences then cost more than the requests
_FENCES_OF_A_KIND: Final = 5
_NOTICED: Final = 1.0  # seconds to wait for a relay to close its side of a closed connection; no verdict depends on it
_UNNOTICED: Final = 3  # closed connections that a relay left open, after which the wait is short
_MOMENT: Final = 0.02
_STUCK: Final = 1.0  # seconds to wait for room on a relay that did not give it back in time before
_ROOMLESS: Final = 2  # cases without room in spite of waiting, after which no case waits for room
_RATE_PAUSES: Final = (1.0, 2.0, 4.0)
_RATE_STRUCK: Final = 2  # cases that hit a rate limit in spite of all pauses, after which no pauses are made
_SLOW_HELLO: Final = 1.0  # least seconds for hello on a new connection after which the relay may have paused
_PUSHED_OUT: Final = 2  # whole time-outs with an answer right after the fence, before an answer counts as held back
_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 2.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that the relay needed in the preflight, the slowest of each kind; 0.0 if not measured.

    `fastest` is the fastest heartbeat: it tells a slow relay from a busy machine.
    """

    handshake: float = 0.0
    hello: float = 0.0
    heartbeat: float = 0.0
    fastest: float = 0.0

    @property
    def slowest(self) -> float:
        """The slowest of all."""
        return max(self.handshake, self.hello, self.heartbeat)

    @property
    def trip(self) -> float:
        """About a round trip: that of hello if no heartbeat was answered."""
        return self.fastest or self.hello


class Tempo:
    """The time-outs of one process of a run.

    `calibrated` is the time-out after the first missing answer of a kind, `silent` are the kinds without an answer, and
    `closing_after` those after which the relay closed a connection, `rate_struck` counts the cases
    that hit the rate limit in spite of all pauses, `roomless` those that found no room at all, `stuck` are the kinds of
    room that were awaited in vain the last time, and `late` says that room came back only after a long pause,
    `hopeless` that a long pause was in vain. `unanswered` are kinds that had no answer in the preflight, nor since.
    Arguments, all in seconds: `most` and `least` bound the time-out of an answer, `latency` is the measured one.
    """

    def __init__(self, most: float, least: float = 0.0, latency: Latency | None = None) -> None:
        slowest = latency.slowest if latency else 0.0
        self.most = most
        self.slow = latency is not None and latency.fastest > _SLOW
        self.patience = min(max(PATIENCE, _BEFORE_A_FENCE * slowest), most)
        self.briefly = min(max(_BRIEFLY, _BEFORE_A_FENCE * slowest), most)
        self.slow_hello = max(_SLOW_HELLO, _BEFORE_A_FENCE * slowest)
        # A slow relay closes its side late, too.
        self._moment = min(max(_MOMENT, _BEFORE_A_FENCE * slowest), _NOTICED)
        self.calibrated = min(most, max(least, _TIMES * slowest)) if slowest else most
        self.closing_after: set[str] = set()
        self.rate_struck = 0
        self.roomless = 0
        self.stuck: set[str] = set()
        self.late = self.hopeless = False
        self.silent: set[str] = set()
        self.unanswered: set[str] = set()
        self._fenced = Counter[str]()
        self._unnoticed = 0
        self._pushed_out = 0

    @classmethod
    def of(cls, target: TargetSettings, latency: Latency) -> Tempo:
        """Return the tempo within a profile's bounds."""
        return cls(target.timeout, target.timeout_least, latency)

    def timeout(self, kind: str) -> float:
        """Return the seconds for an answer to a request of a kind.

        The first missing answer of a kind is awaited for the profile's whole time-out, in case the relay is slow for
        this kind of request; after that, the calibrated time-out applies. A kind without any answer at all is awaited
        briefly: it would cost most cases a time-out.
        """
        if self.is_habit(kind):
            return self.patience
        return self.calibrated if kind in self.silent else self.first

    def is_habit(self, kind: str) -> bool:
        """Whether it is the relay's habit to send no answer of a kind."""
        return kind in self.unanswered or (self.mute and kind in self.silent)

    @property
    def first(self) -> float:
        """Seconds for the first missing answer of a kind: the profile's, unless silence is the relay's habit."""
        return self.calibrated if self.mute else self.most

    @property
    def mute(self) -> bool:
        """Whether the relay has refused nothing so far except by silence."""
        return ANY_REFUSAL in self.unanswered

    def waited_for_nothing(self, kind: str) -> None:
        """Record that a wait of a kind timed out."""
        self.silent.add(kind)

    def was_silent(self, kind: str) -> bool:
        """Return whether a wait of a kind has timed out."""
        return kind in self.silent or kind in self.unanswered

    def answered_after(self, seconds: float, kind: str) -> None:
        """Record the time of an answer, and its kind if it was the awaited one: a slow one ends the calibration."""
        if kind and self.unanswered:  # "the answer to auth" is also awaited "after two fences"
            self.unanswered = {each for each in self.unanswered if not each.startswith(kind)}
        if seconds > self.calibrated / 2:
            self.calibrated = self.most

    @property
    def at_once(self) -> float:
        """Seconds within which a held-back answer follows a fence: one round trip."""
        return self.patience / 5

    @property
    def suspects(self) -> bool:
        """Whether the relay may answer a request only after the next one."""
        return self._pushed_out > 0

    @property
    def alone(self) -> float:
        """Seconds in which a possibly held-back answer can still come by itself."""
        return self.most if self._pushed_out <= _PUSHED_OUT else self.calibrated

    def pushed_out(self) -> bool:
        """Record that an answer came right after a fence; return whether the relay holds answers back.

        After the first time, fences are sent only after a whole time-out.
        """
        self._pushed_out += 1
        return self._pushed_out > _PUSHED_OUT

    def answered_alone(self) -> None:
        """Record that an answer was only slow."""
        self._pushed_out = 0

    def wants_fence(self, kind: str) -> bool:
        """Whether to send a fence after an answer of a kind: for a slow relay, only after the first few.

        Always if the relay closed after such answers before: without a fence, the next request would meet the close.
        """
        self._fenced[kind] += 1
        return not self.slow or kind in self.closing_after or self._fenced[kind] <= _FENCES_OF_A_KIND

    @property
    def rate_pauses(self) -> tuple[float, ...]:
        """Successive pauses (seconds) after an unexpected rate_limit_exceeded; none if they never helped."""
        return () if self.rate_struck >= _RATE_STRUCK else _RATE_PAUSES

    @property
    def room_again(self) -> float:
        """Seconds in which a case without room is tried again; none if that never helped."""
        return 0.0 if self.roomless >= _ROOMLESS else self.soon

    @property
    def closing(self) -> float:
        """Seconds to wait for a relay to close its side of a closed connection."""
        return _NOTICED if self._unnoticed < _UNNOTICED else self._moment

    def closed(self, noticed: bool) -> None:
        """Record whether the relay closed its side in time."""
        self._unnoticed = 0 if noticed else self._unnoticed + 1

    @property
    def soon(self) -> float:
        """Seconds within which a relay should notice a closed connection; fewer after it did not."""
        return min(_STUCK, self.most) if self.stuck else self.most

    def room(self, what: str, there: bool) -> None:
        """Record whether room of a kind was given back in time."""
        (self.stuck.discard if there else self.stuck.add)(what)


def retry(
    attempt: Callable[[], _Made], errors: tuple[type[Exception], ...], seconds: float, clock: Timekeeper = time
) -> _Made:
    """Return the result of `attempt` once it raises none of `errors`; after `seconds` let it raise.

    The pauses grow: a relay may still count the connections of the last attempt.
    """
    deadline = clock.monotonic() + seconds
    pause = _RETRY
    while True:
        try:
            return attempt()
        except errors:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise
            clock.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_RETRY)
