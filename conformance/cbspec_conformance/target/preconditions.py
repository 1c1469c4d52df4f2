"""Preconditions of a case: if one is missing, the case is not exercised, and the reason names the profile's key."""

from __future__ import annotations

from cbspec.profile.profile import Profile
from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.target.facts import Facts


class Preconditions:
    """A case's needs of the profile and of the relay."""

    def __init__(self, profile: Profile, facts: Facts) -> None:
        self._profile = profile
        self._facts = facts

    @property
    def offers_tenancy(self) -> bool:
        """Whether the relay offers multi_tenancy."""
        declared = self._profile.target.multi_tenancy
        return "multi_tenancy" in self._facts.features if declared is None else declared

    def served(self, request: str) -> None:
        """Raise Inconclusive if the relay never serves a type of request."""
        if reason := self._facts.why_not(request):
            raise Inconclusive(f"{request} is never served on this relay: {reason}")

    def tenancy(self) -> None:
        """Raise NotExercised unless the relay offers multi_tenancy."""
        if not self.offers_tenancy:
            raise NotExercised("the relay doesn't offer multi_tenancy (set target.multi_tenancy = true if it does)")

    def websocket(self) -> None:
        """Raise NotExercised unless the relay opens WebSockets."""
        if not self._facts.websocket:
            raise NotExercised("the relay opens no WebSocket (target.transport, target.websocket_path)")

    def stream(self) -> None:
        """Raise NotExercised unless the cases use a plain stream of messages."""
        if self._facts.transport != "tcp":
            raise NotExercised("the cases use WebSocket (target.transport)")
