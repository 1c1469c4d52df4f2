"""What was said on a connection, as exchanges, for who looks on; and what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cbspec_client.session import Passed


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request (None: what came, came before any) and all that came for it so far; `tenant` is the token's."""

    request: Passed | None
    answers: tuple[Passed, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Blame:
    """A requirement that the relay broke: what was expected, and what was seen."""

    requirement: str
    expected: str = ""
    seen: str = ""


Onlooker = Callable[[Exchanged], Sequence[Blame]]


def sees_nothing(exchanged: Exchanged) -> Sequence[Blame]:
    """Find nothing: for who wants nobody to look on."""
    return ()


class Conversation:
    """Cuts what passes on one connection into exchanges and shows each to `onlooker`.

    `passed` is a session's `exchange`. A requirement is blamed once for each exchange.
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
        """Take a message that passed."""
        if not passed.sent:
            self._answers.append(passed)
            return
        self._judge()  # what came late belongs to the request before
        self._request, self._answers, self._judged = passed, [], 0
        self._blamed.clear()

    def blame(self, requirement: str) -> None:
        """Take what the session itself found, where the onlooker finds nothing in the same exchange."""
        self._judge()
        if not self._blamed:
            self._blamed.add(requirement)
            self._open.append(Blame(requirement))

    def findings(self) -> list[Blame]:
        """Return what was found since the last call."""
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
