"""The faults that are there, and what they decide: for each thing that is about to happen, which of them strike."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cbspec_simulator.faults.fault import Fault, FaultError
from cbspec_simulator.faults.kind import Strike
from cbspec_simulator.faults.when import Occasion, Per

_NONE: Final[tuple[Strike, ...]] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one fault decided on one occasion: the `number`-th that it counts; `chance` is what was drawn, if anything.

    `kind` is what strikes or would have, "pass" where a sequence lets a message through.
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
    """What was counted together: occasions that match, turns of the sequence, strikes."""

    matched: int = 0
    turns: int = 0
    strikes: int = 0


@dataclass(slots=True)
class Active:
    """A fault that is there, since when, and what it has done so far."""

    fault: Fault
    since: float
    matched: int = 0
    strikes: int = 0
    counts: dict[Hashable, _Count] = field(default_factory=dict)
    drawn: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the fault with what it has done."""
        return {
            **self.fault.to_json(),
            "direction": str(self.fault.direction),
            "matched": self.matched,
            "strikes": self.strikes,
        }


class Faults:
    """The faults of a relay; `active` are those that are there, by their names.

    Arguments: `seed` repeats what is left to chance; `tell` is told every decision. All times are in seconds of the
    simulator's clock that never goes back.
    """

    def __init__(self, seed: int = 0, tell: Callable[[Decision], None] = lambda _: None) -> None:
        self.seed = seed
        self._tell = tell
        self.active: dict[str, Active] = {}
        self._added = 0
        self._watchers: list[Callable[[], None]] = []
        self._openers: list[Callable[[str], None]] = []

    def add(self, fault: Fault, now: float) -> str:
        """Let a fault strike from now on; return its name. Raises FaultError where the name is taken."""
        name = fault.name or self._free_name()
        if name in self.active:
            raise FaultError([f"name: there is a fault {name} already; remove it, or give this one another name"])
        self.active[name] = Active(replace(fault, name=name), now)
        self._changed()
        return name

    def add_all(self, faults: Sequence[Fault], now: float) -> None:
        """Let faults strike from now on, in this order; those without a name get one that no other has."""
        taken = {fault.name for fault in faults}
        for fault in faults:
            self.add(fault if fault.name else replace(fault, name=self._free_name(taken)), now)

    def remove(self, name: str) -> Active:
        """Take a fault away, and let go what it holds back; raises KeyError where there is none of the name."""
        gone = self.active.pop(name)
        self.release(name)
        self._changed()
        return gone

    def reset(self) -> None:
        """Take all faults away, and let go what they hold back; names are given from the beginning again."""
        for name in tuple(self.active):
            self.remove(name)
        self._added = 0

    def release(self, name: str) -> None:
        """Let go what a fault holds back; it goes on holding back what comes."""
        for opener in tuple(self._openers):
            opener(name)

    def all(self) -> tuple[Active, ...]:
        """Return the faults in the order in which they were added."""
        return tuple(self.active.values())

    def watch(self, changed: Callable[[], None], released: Callable[[str], None]) -> None:
        """Have the edge told when faults come and go, and when what one holds back is let go."""
        self._watchers.append(changed)
        self._openers.append(released)

    def standing(self, kind: str, now: float) -> bool:
        """Say whether a fault of a kind that holds all the time is there now."""
        return any(
            part.kind is not None and part.kind.name == kind and _lasts(active, now)
            for active in self.active.values()
            for part in active.fault.parts
        )

    def turns(self, now: float) -> float | None:
        """Return in how many seconds the next fault's time begins or ends, if one does."""
        times = [
            active.since + moment - now
            for active in self.active.values()
            for moment in (active.fault.when.begin, active.fault.when.end)
            if moment is not None
        ]
        return min((time for time in times if time > 0), default=None)

    def at(self, occasion: Occasion, now: float) -> tuple[Strike, ...]:
        """Return the strikes at an occasion, in the order in which their faults were added."""
        if not self.active:
            return _NONE
        found = []
        for active in tuple(self.active.values()):
            strike = self._strike(active, occasion, now)
            if strike is not None:
                found.append(strike)
        return tuple(found)

    def forget(self, connection: int) -> None:
        """Forget what was counted for a connection that is gone."""
        for active in self.active.values():
            active.drawn.pop(connection, None)
            if active.fault.when.per is Per.CONNECTION:
                active.counts.pop(connection, None)

    def _strike(self, active: Active, occasion: Occasion, now: float) -> Strike | None:
        fault, when = active.fault, active.fault.when
        if not (fault.concerns(occasion) and when.matches(occasion, now - active.since)):
            return None
        count = active.counts.setdefault(when.holder(occasion), _Count())
        count.matched += 1
        active.matched += 1
        active.drawn[occasion.connection] += 1
        part = fault.part(count.turns + 1)
        if part is None or not when.chosen(count.matched) or (when.times is not None and count.strikes >= when.times):
            return None
        # By connection and place in it, so that connections which run beside each other don't change each other's luck.
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


def _lasts(active: Active, now: float) -> bool:
    age, when = now - active.since, active.fault.when
    return when.begin <= age and (when.end is None or age < when.end)


def _chance(seed: int, *place: object) -> random.Random:
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return random.Random(digest)  # noqa: S311 - chance that can be repeated, no secret
