"""How a case ends unless it passes: one exception class per outcome."""

from __future__ import annotations

from cbspec_conformance.record.conclusions import Expectation
from cbspec_conformance.record.exchange import Exchange


class Broken(Exception):
    """The relay broke a requirement: `expected` and `seen` describe how, and `exchanges` show it.

    `requirement` is set if the blame belongs to a requirement other than the case's own. `unserved` is the type of a
    valid request that was not served: if the relay never serves it, the case says nothing about its own requirement.
    `expectation` is the expectation of the last exchange as data, if it has such a form, and `kinds` name the kinds of
    mistakes that were accepted, if the case tried several.
    """

    def __init__(
        self,
        expected: str,
        seen: str,
        *exchanges: Exchange,
        requirement: str = "",
        unserved: str = "",
        expectation: Expectation | None = None,
        kinds: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen
        self.exchanges = exchanges
        self.requirement = requirement
        self.unserved = unserved
        self.expectation = expectation
        self.kinds = kinds


class Inconclusive(Exception):
    """No judgement is possible: a control failed, or the machine was too slow."""


class NeverWorks(Inconclusive):
    """What the case needs never works on this relay: the preflight showed it, when nothing else ran."""


class NoRoom(Inconclusive):
    """The relay had no room at that moment: the case is tried again later."""


class NotExercised(Exception):
    """The profile lacks information that the case needs; the text names the key."""


class RateLimited(Exception):
    """The relay's rate limit was hit in a case about another requirement, which is tried again later."""


class NeedsAlone(Exception):
    """The case needs what it can't have while others run: it begins again when none does."""


class KitError(Exception):
    """The kit was about to send an unintended message: a mistake of the kit."""
