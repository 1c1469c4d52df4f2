"""The active faults of a relay, and the decision which of them strike at each occasion."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.when import MessageDirection, Occasion, Per

_NONE: Final[tuple[Strike, ...]] = ()
_SPENT: Final = 1000  # removed faults that are remembered


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a fault at an occasion, the `number`th that it counts; `chance` is the random number, if drawn.

    `kind` is the kind that strikes or would have struck, "pass" if a sequence lets the message through.
    """

    fault: str
    kind: str
    occasion: Occasion
    number: int
    struck: bool
    seed: int
    chance: float | None = None


@dataclass(slots=True)
class _Count:
    """Matching occasions, turns of the sequence and strikes that are counted together."""

    matched: int = 0
    turns: int = 0
    strikes: int = 0


@dataclass(slots=True)
class Active:
    """A fault, the time from which it counts (None: its event hasn't happened yet), and its counts so far."""

    fault: Fault
    since: float | None
    matched: int = 0
    strikes: int = 0
    counts: dict[Hashable, _Count] = field(default_factory=dict)
    drawn: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the fault with its counts."""
        return {
            **self.fault.to_json(),
            "direction": str(self.fault.direction),
            "matched": self.matched,
            "strikes": self.strikes,
            "never_struck": not self.strikes,
        }

    def lasts(self, now: float) -> bool:
        """Return whether the fault is in effect."""
        return self.since is not None and self.fault.when.lasts(now - self.since)


class Faults:
    """The faults of a relay, by name in `active`; `spent` holds those that were removed and never struck.

    Arguments: `seed` determines random decisions; `tell` receives every decision. All times are seconds of the
    simulator's monotonic clock.
    """

    def __init__(self, seed: int = 0, tell: Callable[[Decision], None] = lambda _: None) -> None:
        self.seed = seed
        self._tell = tell
        self.active: dict[str, Active] = {}
        self.spent: deque[Active] = deque(maxlen=_SPENT)
        self._added = 0
        self._watchers: list[Callable[[], None]] = []
        self._openers: list[Callable[[str], None]] = []

    def add(self, fault: Fault, now: float) -> str:
        """Add a fault and return its name; raises FaultError if the name is in use."""
        name = fault.name or self._free_name()
        if name in self.active:
            raise FaultError([f"name: there is already a fault {name}; remove it or choose another name"])
        self.active[name] = Active(replace(fault, name=name), None if fault.when.event else now)
        self._changed()
        return name

    def add_all(self, faults: Sequence[Fault], now: float) -> None:
        """Add faults in this order; those without a name get an unused one."""
        taken = {fault.name for fault in faults}
        for fault in faults:
            self.add(fault if fault.name else replace(fault, name=self._free_name(taken)), now)

    def remove(self, name: str) -> Active:
        """Remove a fault and release the messages that it holds; raises KeyError if there is none of this name."""
        gone = self.active.pop(name)
        if not gone.strikes:
            self.spent.append(gone)
        self.release(name)
        self._changed()
        return gone

    def reset(self) -> None:
        """Remove all faults, release their messages and restart the numbering of names."""
        for name in tuple(self.active):
            self.remove(name)
        self._added = 0

    def begin(self, now: float) -> None:
        """Count the time of the faults from now on: the relay is ready."""
        for active in self.active.values():
            if active.since is not None:
                active.since = now
        self._changed()

    def happened(self, event: str, now: float) -> None:
        """Begin the faults that wait for an event."""
        begun = [each for each in self.active.values() if each.since is None and each.fault.when.event == event]
        for active in begun:
            active.since = now
        if begun:
            self._changed()

    def never_struck(self) -> tuple[Active, ...]:
        """Return the faults without a strike, also those that were removed."""
        return (*self.spent, *(active for active in self.active.values() if not active.strikes))

    def release(self, name: str) -> None:
        """Release the messages that a fault holds; it continues to hold later messages."""
        for opener in tuple(self._openers):
            opener(name)

    def all(self) -> tuple[Active, ...]:
        """Return the faults in the order in which they were added."""
        return tuple(self.active.values())

    def watch(self, changed: Callable[[], None], released: Callable[[str], None]) -> None:
        """Subscribe to changes of the faults, and to releases by the name of the fault."""
        self._watchers.append(changed)
        self._openers.append(released)

    def standing(self, kind: str, now: float) -> bool:
        """Return whether a standing fault of this kind is in effect."""
        return any(
            part.kind is not None and part.kind.name == kind and active.lasts(now)
            for active in self.active.values()
            for part in active.fault.parts
        )

    def strike_standing(self, kind: str, now: float, connection: int = 0) -> None:
        """Count a strike of each standing fault of this kind, on a connection or on the port (0)."""
        for active in self.active.values():
            fault = active.fault
            if active.lasts(now) and any(part.name == kind for part in fault.parts):
                active.matched += 1
                active.strikes += 1
                occasion = Occasion(MessageDirection.CONNECT, connection)
                self._tell(Decision(fault.name, kind, occasion, active.matched, True, self.seed))

    def turns(self, now: float) -> float | None:
        """Return the seconds until the next fault begins or ends; None if there is none."""
        times = [
            active.since + moment - now
            for active in self.active.values()
            for moment in (active.fault.when.begin, active.fault.when.end)
            if moment is not None and active.since is not None
        ]
        return min((time for time in times if time > 0), default=None)

    def at(self, occasion: Occasion, now: float) -> tuple[Strike, ...]:
        """Return the strikes at an occasion, in the order of their faults."""
        if not self.active:
            return _NONE
        strikes = [self._strike(active, occasion, now) for active in tuple(self.active.values())]
        return tuple(strike for strike in strikes if strike is not None)

    def forget(self, connection: int) -> None:
        """Delete the counts of a closed connection."""
        for active in self.active.values():
            active.drawn.pop(connection, None)
            if active.fault.when.per is Per.CONNECTION:
                active.counts.pop(connection, None)

    def _strike(self, active: Active, occasion: Occasion, now: float) -> Strike | None:
        fault, when = active.fault, active.fault.when
        if active.since is None or not (fault.concerns(occasion) and when.matches(occasion, now - active.since)):
            return None
        count = active.counts.setdefault(when.holder(occasion), _Count())
        count.matched += 1
        active.matched += 1
        active.drawn[occasion.connection] += 1
        part = fault.part(count.turns + 1)
        if part is None or not when.chosen(count.matched) or (when.times is not None and count.strikes >= when.times):
            return None
        # Seeded by connection and position, so that simultaneous connections do not influence each other.
        chance = _chance(self.seed, fault.name, occasion.connection, active.drawn[occasion.connection])
        drawn = chance.random() if when.probability is not None else None
        due = drawn is None or when.probability is None or drawn < when.probability
        struck = due and part.kind is not None
        count.turns += due
        count.strikes += struck
        active.strikes += struck
        self._tell(Decision(fault.name, part.name, occasion, count.matched, struck, self.seed, drawn))
        return Strike(fault.name, part.kind, part.params, occasion, chance) if struck and part.kind else None

    def _free_name(self, taken: Container[str] = ()) -> str:
        while True:
            self._added += 1
            name = f"fault-{self._added}"
            if name not in self.active and name not in taken:
                return name

    def _changed(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


def _chance(seed: int, *place: object) -> random.Random:
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return random.Random(digest)  # noqa: S311 - repeatable, not secret
