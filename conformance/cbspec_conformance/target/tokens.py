"""The tokens of a case, valid and forged, each with the recipe by which a failure file can make it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from cbspec.profile.issuer import Issuer, ProfileLacks
from cbspec.profile.profile import Profile, Tenant
from cbspec.tokens.forgery import Forgery, by_requirement
from cbspec_conformance.failures.recipes import SPOILED, Recipes
from cbspec_conformance.judging.errors import NotExercised

_Made = TypeVar("_Made")


def secrets_of(profile: Profile) -> tuple[str, ...]:
    """Return strings that no error may hold: the secret, and the tenants other than the client's own."""
    return (*([profile.tokens.secret] if profile.tokens.secret else []), *(tenant.id for tenant in profile.tenants))


class TokenSource:
    """Makes tokens for the tenants of a profile. Every method raises NotExercised if the profile lacks the key.

    `certificate` returns the certificate of the relay's TLS in DER, as far as it is known. `stem` begins the subjects
    of the tokens, unless the profile gives a subject or tokens are ready-made.
    """

    def __init__(
        self,
        profile: Profile,
        issuer: Issuer,
        recipes: Recipes,
        certificate: Callable[[], bytes] = bytes,
        stem: str = "",
    ) -> None:
        self._certificate = certificate
        self._profile = profile
        self._issuer = issuer
        self._recipes = recipes
        self.key = issuer.key
        self._stem = stem
        self._subject = (stem or None) if issuer.key is not None and profile.tokens.subject is None else None

    def now(self) -> float:
        """Return the time of tokens that are issued now, in seconds since the epoch."""
        return self._issuer.now()

    def subject(self, name: str) -> str:
        """Return another subject of the case: a relay may keep state per subject (see CB-AUT-017)."""
        return f"{self._stem}-{name}"

    def valid(self, tenant: Tenant, subject: str | None = None) -> str:
        """Return a valid token; the default subject is that of the profile, or else of the case."""
        subject = self._subject if subject is None else subject
        token = _exercised(lambda: self._issuer.valid(tenant.id, subject))
        self._recipes.valid(token, tenant.id, subject)
        return token

    def minted(
        self,
        tenant: Tenant,
        changes: Mapping[str, object],
        headers: Mapping[str, object] | None = None,
        algorithm: str = "",
    ) -> str:
        """Return a token with other claims, headers or algorithm, signed with the right key; see `Issuer.minted`."""
        own: Mapping[str, object] = {} if self._subject is None else {"sub": self._subject}
        return _exercised(lambda: self._issuer.minted(tenant.id, {**own, **changes}, headers, algorithm))

    def forged(self, forgery: Forgery, valid: str) -> object:
        """Return a forged token, made from the main tenant's `valid` one."""
        main, second = self._profile.main_tenant, self._profile.second_tenant
        names = main.id if main else "", second.id if second else ""
        token = _exercised(lambda: self._issuer.forged(forgery, *names, valid, self._certificate()))
        self._recipes.forged(token, forgery.name, valid)
        return token

    def spoil(self, valid: str) -> str:
        """Return a valid token with a wrong signature; unlike most forgeries, this works for every kind of token."""
        token = valid[:-4] + ("AAAA" if not valid.endswith("AAAA") else "BBBB")
        self._recipes.forged(token, SPOILED, valid)
        return token

    def spoiled(self, tenant: Tenant) -> str:
        """Return a token with a wrong signature."""
        return self.spoil(self.valid(tenant))

    def forgeries(self, identifier: str, tenant: Tenant) -> dict[str, Forgery]:
        """Return every forgery of a requirement that can be made, by name; raise NotExercised if none can."""
        lacks: NotExercised | None = None
        possible: dict[str, Forgery] = {}
        for forgery in by_requirement(identifier):
            try:
                self.forged(forgery, self.valid(tenant))
            except NotExercised as error:
                lacks = lacks or error
            else:
                possible[forgery.name] = forgery
        if not possible and lacks is not None:
            raise lacks
        return possible


def _exercised(make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except ProfileLacks as lacks:
        raise NotExercised(str(lacks)) from None
