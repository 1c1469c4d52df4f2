"""What learning a relay needs: the results of the preflight, the inputs that the profile allows, and the rules."""

from __future__ import annotations

from cbspec.errors import CommandError
from cbspec.profile.profile import Profile
from cbspec_conformance.learning.alphabet import Alphabet
from cbspec_conformance.learning.conduct import Conduct
from cbspec_conformance.target.facts import Facts
from cbspec_conformance.target.preflight import NoTarget, examine, wait_for
from cbspec_conformance.target.relay import RelayUnderTest, SharedParts


class LearningSetting:
    """The relay of a profile, examined. `preflight` is the relay as the preflight saw it.

    `wait` is the time in seconds that the relay has to start, and `tenant` names tenant A ("": the usual one). Raises
    NoTarget, also if the relay serves no hello or no auth; NotExercised if the profile lacks a tenant; CommandError if
    it has no such tenant.
    """

    def __init__(self, profile: Profile, wait: float = 0.0, tenant: str = "") -> None:
        chosen = profile.tenant(tenant) if tenant else None
        if tenant and chosen is None:
            raise CommandError(f"--tenant: the profile has no tenant {tenant}")
        self.profile = profile
        self.preflight = RelayUnderTest(SharedParts(profile), Facts(), "preflight")
        try:
            wait_for(self.preflight, wait)
            self.facts = facts = examine(self.preflight)
        finally:
            self.preflight.close()
        if reason := facts.tls or (facts.rejected and facts.auth):
            raise NoTarget(f"nothing to learn: {reason}")
        self.shared = SharedParts(profile, facts.latency, unanswered=facts.unanswered)
        relay = self.relay()
        self.alphabet = Alphabet(relay, chosen)
        self._tenancy = relay.needs.offers_tenancy
        self.conduct = Conduct(self.alphabet, tenancy=self._tenancy)

    def relay(self) -> RelayUnderTest:
        """Return the relay for another word."""
        return RelayUnderTest(self.shared, self.facts, "learn")

    @property
    def about(self) -> dict[str, object]:
        """The facts on which the answers of the relay depend."""
        tenants = self.alphabet.tenants.items()
        return {
            "relay": str(self.profile.target.address),
            "transport": self.facts.transport,
            "multi_tenancy": self._tenancy,
            "remote": str(self.profile.remote.reachable),
            "inputs": self.alphabet.names,
            "tenants": {name: [each.id, each.tunnel_limit, each.connection_limit] for name, each in tenants},
        }

    @property
    def limited(self) -> bool:
        """Whether a tenant has a limit, which other connections use up."""
        return any(each.tunnel_limit or each.connection_limit for each in self.alphabet.tenants.values())
