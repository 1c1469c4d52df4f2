"""Exchanges: each request with its answers, the requirements that a checker finds broken in them, and their counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from cbspec_client.session import Passed


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request and the answers so far; None if they arrived before any request. `tenant` is that of the token."""

    request: Passed | None
    answers: tuple[Passed, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Blame:
    """A requirement that the relay broke, with the expected and the received text."""

    requirement: str
    expected: str = ""
    seen: str = ""


Onlooker = Callable[[Exchanged], Sequence[Blame]]


def sees_nothing(exchanged: Exchanged) -> Sequence[Blame]:
    """Check nothing."""
    return ()


class Conversation:
    """Groups the messages of one connection into exchanges and passes each to `onlooker`.

    `passed` is the callback of a session. A requirement is reported once per exchange.
    """

    def __init__(self, onlooker: Onlooker = sees_nothing) -> None:
        self.tenant = ""
        self._onlooker = onlooker
        self._request: Passed | None = None
        self._answers: list[Passed] = []
        self._judged = 0
        self._blamed: set[str] = set()
        self._open: list[Blame] = []

    def passed(self, passed: Passed) -> None:
        """Add a message."""
        if not passed.sent:
            self._answers.append(passed)
            return
        self._judge()  # late answers belong to the previous request
        self._request, self._answers, self._judged = passed, [], 0
        self._blamed.clear()

    def blame(self, requirement: str) -> None:
        """Add a requirement that the session found broken, unless the onlooker reports the same exchange."""
        self._judge()
        if not self._blamed:
            self._blamed.add(requirement)
            self._open.append(Blame(requirement))

    def findings(self) -> list[Blame]:
        """Return the findings since the last call."""
        self._judge()
        found, self._open = self._open, []
        return found

    def _judge(self) -> None:
        if len(self._answers) == self._judged:
            return
        self._judged = len(self._answers)
        for blame in self._onlooker(Exchanged(self._request, tuple(self._answers), self.tenant)):
            if blame.requirement not in self._blamed:
                self._blamed.add(blame.requirement)
                self._open.append(blame)


@dataclass(slots=True)
class BreachCount:
    """How often a requirement was broken, with the texts of the first time."""

    times: int = 0
    expected: str = ""
    seen: str = ""


@dataclass(slots=True)
class Score:
    """Sessions begun, successful and failed, and the broken requirements."""

    begun: int = 0
    well: int = 0
    failed: int = 0
    broken: dict[str, BreachCount] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Sessions that have ended."""
        return self.well + self.failed

    @property
    def open(self) -> int:
        """Sessions that have begun and not ended."""
        return self.begun - self.ended

    def blame(self, blame: Blame, times: int = 1) -> None:
        """Count a breach."""
        self.broken.setdefault(blame.requirement, BreachCount(0, blame.expected, blame.seen)).times += times

    @classmethod
    def sum(cls, scores: Iterable[Score]) -> Self:
        """Return the sum over several processes."""
        total = cls()
        for score in scores:
            total.begun += score.begun
            total.well += score.well
            total.failed += score.failed
            for requirement, broken in score.broken.items():
                total.blame(Blame(requirement, broken.expected, broken.seen), broken.times)
        return total
