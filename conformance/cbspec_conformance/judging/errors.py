"""How a case ends when it doesn't pass: each class is one outcome, and says who is at fault."""

from __future__ import annotations

from cbspec_conformance.judging.expectation import Expectation
from cbspec_conformance.record.exchange import Exchange


class Broken(Exception):
    """The relay did not do what is asked; `expected` and `seen` in words, `exchange` what it is read from.

    `requirement` is another requirement than the case's own, where the blame belongs there. `unserved` is the type of
    a valid request that was not served, where that is all that is wrong: if it never is on this relay, the case says
    nothing about its own requirement. `expectation` is what was expected of the last exchange, as data, where it can be
    said so.
    """

    def __init__(
        self,
        expected: str,
        seen: str,
        *exchanges: Exchange,
        requirement: str = "",
        unserved: str = "",
        expectation: Expectation | None = None,
    ) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.exchanges = exchanges
        self.requirement = requirement
        self.unserved = unserved
        self.expectation = expectation


class Inconclusive(Exception):
    """Nothing can be said: the control did not work, or a machine was too slow."""


class NoRoom(Inconclusive):
    """The relay had no room just then: the case is to be tried again when it had time to make some."""


class NotExercised(Exception):
    """The profile lacks what the case needs; the text names the key."""


class RateLimited(Exception):
    """The relay's rate limit struck where the case isn't about rates: the case is to be tried again later."""


class KitError(Exception):
    """The kit was about to send what it did not mean to: a mistake of the kit, never of the relay."""
