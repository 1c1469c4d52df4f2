"""How long the suite waits: calibrated by what the relay was measured to need, within the bounds that the profile sets.

The rule: what is waited for can come. A fence tells "ignored" from "late" without waiting, and only where no fence can
tell is a whole time-out spent. Waiting for nothing is the last resort: every wait that ran out is a record in the
transcript (`cbspec_conformance.record.transcript.Waited`), which is shown with the exchange, and what it taught is
remembered, so that no later case pays for it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from cbspec.profile.profile import Target

_Made = TypeVar("_Made")

_TIMES: Final = 20
"""How many times the slowest measured answer a time-out is: another request may take longer than those measured."""

_BEFORE_A_FENCE: Final = 3
"""How many times the slowest measured answer may pass before a fence is sent. Sending one accuses nobody."""

PATIENCE: Final = 0.5
"""Seconds without an answer before a fence is sent, at the least: shorter hiccups are a busy machine's."""

_BRIEFLY: Final = 0.05
"""Seconds before a fence behind what has no end of its own, at the least: most relays wait for more of it."""

_SLOW: Final = 0.1
"""Seconds for an answer from which on a relay is slow: fences then cost more than the requests that they follow."""

_FENCES_OF_A_KIND: Final = 5

_NOTICED: Final = 1.0
"""Seconds that a relay is given to end its side of a closed connection; nothing is judged by it."""

_UNNOTICED: Final = 3
"""Closed connections that a relay left open after which no more is waited for it, but for a moment."""

_MOMENT: Final = 0.02

_STUCK: Final = 1.0
"""Seconds to wait for room on a relay that has been seen not to give it back in time."""

_ROOMLESS: Final = 2
"""Cases that had no room in spite of all waiting after which none is waited for."""

_RATE_PAUSES: Final = (1.0, 2.0, 4.0)

_RATE_STRUCK: Final = 2
"""Cases that a rate limit struck in spite of all pauses after which no more are made."""

_PUSHED_OUT: Final = 2
"""Whole time-outs after which an answer must have come right behind a fence before it counts as held back."""

_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 2.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that the relay needed when it was first looked at, the slowest of each; 0.0 where none was measured.

    `fastest` is the fastest heartbeat: a relay is slow by that, and a busy machine isn't.
    """

    handshake: float = 0.0
    hello: float = 0.0
    heartbeat: float = 0.0
    fastest: float = 0.0

    @property
    def slowest(self) -> float:
        """The slowest of all."""
        return max(self.handshake, self.hello, self.heartbeat)


class Tempo:
    """The waits of one process of a run, and what they taught.

    Arguments, all in seconds: `most` and `least` bound the time-out of an answer, `latency` is what was measured.
    """

    def __init__(self, most: float, least: float = 0.0, latency: Latency | None = None) -> None:
        slowest = latency.slowest if latency else 0.0
        self.most = most
        self.slow = latency is not None and latency.fastest > _SLOW
        self.patience = min(max(PATIENCE, _BEFORE_A_FENCE * slowest), most)
        self.briefly = min(max(_BRIEFLY, _BEFORE_A_FENCE * slowest), most)
        # Who answers late notices late: given less than that, it would never be seen to notice again.
        self._moment = min(max(_MOMENT, _BEFORE_A_FENCE * slowest), _NOTICED)
        self._calibrated = min(most, max(least, _TIMES * slowest)) if slowest else most
        self._silent: set[str] = set()
        self._fenced: dict[str, int] = {}
        self._closing: set[str] = set()
        self._unnoticed = 0
        self._rate_struck = 0
        self._roomless = 0
        self._stuck: set[str] = set()
        self._pushed_out = 0

    @classmethod
    def of(cls, target: Target, latency: Latency) -> Tempo:
        """Return the tempo within a profile's bounds."""
        return cls(target.timeout, target.timeout_least, latency)

    def timeout(self, kind: str) -> float:
        """Return the seconds for an answer to a request of a kind.

        The first silence of a kind is waited for as long as the profile's bound says, so that a relay which takes its
        time for one kind of request is not accused; when nothing came then, the calibrated time-out will do.
        """
        return self._calibrated if kind in self._silent else self.most

    def waited_for_nothing(self, kind: str) -> None:
        """Remember that a time-out ran out."""
        self._silent.add(kind)

    def came(self, seconds: float) -> None:
        """Learn from an answer: one that took longer than the calibrated time-out ends the calibration."""
        if seconds > self._calibrated / 2:
            self._calibrated = self.most

    @property
    def at_once(self) -> float:
        """Seconds within which what a fence pushes out comes behind it; no more than the way there and back."""
        return self.patience / 5

    @property
    def suspects(self) -> bool:
        """Whether the relay has been seen to answer a request only when the next one came."""
        return self._pushed_out > 0

    @property
    def alone(self) -> float:
        """Seconds in which an answer that may be held back can still come by itself: all there are, until it's sure."""
        return self.most if self._pushed_out <= _PUSHED_OUT else self._calibrated

    def pushed_out(self) -> bool:
        """Learn that an answer came right behind a fence; return whether it's held back, and not by chance so late.

        The first time rouses suspicion; from then on the fence comes only when a whole time-out is over.
        """
        self._pushed_out += 1
        return self._pushed_out > _PUSHED_OUT

    def came_alone(self) -> None:
        """Learn that an answer was only slow."""
        self._pushed_out = 0

    def wants_fence(self, kind: str) -> bool:
        """Whether to send a fence behind an answer of a kind: of a slow relay, behind the first few only.

        Always where it closes behind answers of the kind: without a fence the next request would meet the close.
        """
        self._fenced[kind] = self._fenced.get(kind, 0) + 1
        return not self.slow or kind in self._closing or self._fenced[kind] <= _FENCES_OF_A_KIND

    def closed_behind(self, kind: str) -> None:
        """Remember that the relay closed a connection behind an answer of a kind."""
        self._closing.add(kind)

    @property
    def rate_pauses(self) -> tuple[float, ...]:
        """Seconds to wait after an unexpected rate_limit_exceeded, in turn; none where that never helped."""
        return () if self._rate_struck >= _RATE_STRUCK else _RATE_PAUSES

    def rate_struck_on(self) -> None:
        """Remember that the rate limit struck after all pauses, too."""
        self._rate_struck += 1

    @property
    def room_again(self) -> float:
        """Seconds in which a case that found no room is tried again; none where that never helped."""
        return 0.0 if self._roomless >= _ROOMLESS else self.soon

    def had_no_room(self) -> None:
        """Remember that a case found no room until the end."""
        self._roomless += 1

    @property
    def closing(self) -> float:
        """Seconds to give a relay to end its side of a connection that was closed."""
        return _NOTICED if self._unnoticed < _UNNOTICED else self._moment

    def closed(self, noticed: bool) -> None:
        """Learn whether the relay ended its side in time."""
        self._unnoticed = 0 if noticed else self._unnoticed + 1

    @property
    def soon(self) -> float:
        """Seconds within which a relay should notice that a connection has closed; less once it didn't."""
        return min(_STUCK, self.most) if self._stuck else self.most

    def is_stuck(self, what: str) -> bool:
        """Whether room of a kind was waited for in vain, and hasn't been seen since."""
        return what in self._stuck

    def room(self, what: str, there: bool) -> None:
        """Learn whether room of a kind came back in time."""
        (self._stuck.discard if there else self._stuck.add)(what)


def retry(attempt: Callable[[], _Made], errors: tuple[type[Exception], ...], seconds: float) -> _Made:
    """Return what `attempt` does once it raises none of `errors`; after `seconds` let it raise.

    The pauses grow: what an attempt used and closed, a relay may count for a while, and the next finds it used still.
    """
    deadline = time.monotonic() + seconds
    pause = _RETRY
    while True:
        try:
            return attempt()
        except errors:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_RETRY)
