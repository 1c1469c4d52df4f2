"""Valid and invalid tokens for a target, as far as its profile allows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.target import USUAL_SUBJECT, IssuerSettings
from cbspec.tokens.jws import claims_of
from cbspec.tokens.jwt import SigningKey, mint

if TYPE_CHECKING:
    from cbspec.tokens.forgery import Forgery

_KEY = "the relay's signing key (tokens.secret or tokens.key_file)"


class ProfileLacks(Exception):
    """The profile lacks a key, `key`; the text is a sentence about it."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key
        self.sentence = sentence


class Issuer:
    """Mints tokens as the table `tokens` of a profile describes them.

    `shift` are the seconds by which all times in tokens are moved, for a relay whose clock differs. `clock` are those
    by which the relay's clock is known to be ahead: a forgery of a time is as much more out of time.
    `now` returns the time in seconds since the epoch. Raises ValueError or OSError if the key is unusable, which `load`
    has checked before.
    """

    def __init__(self, tokens: IssuerSettings, now: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = now
        self.shift = self.clock = 0.0
        self.key = _signing_key(tokens)

    def now(self) -> float:
        """Return the time of tokens that are issued now, in seconds since the epoch."""
        return self._clock() + self.shift

    def valid(self, tenant_id: str, subject: str | None = None) -> str:
        """Return a valid token of a tenant: a new one, or without the signing key a ready-made one.

        The default subject is the profile's, or the usual one. Raises ProfileLacks.
        """
        if self.key is not None:
            now = int(self.now())
            named = [name for name in (subject, self._tokens.subject, USUAL_SUBJECT) if name is not None]
            own = {
                "sub": named[0],
                "tenant_id": tenant_id,
                "iat": int(now - self._tokens.backdate),
                "exp": int(now + max(1.0, self._tokens.lifetime)),
                "jti": secrets.token_hex(16),
            }
            return mint(self.key, {**self._tokens.claims, **own}, self._header())
        token = self._ready_made(tenant_id)
        if token is None:
            raise ProfileLacks(
                f"tokens.ready.tenants.{tenant_id}",
                f"a ready-made token of the tenant {tenant_id} (tokens.ready.tenants), or {_KEY}, is needed",
            )
        if subject is not None and claims_of(token).get("sub") != subject:
            raise ProfileLacks("tokens.secret", f"for a token of another subject {_KEY} is needed")
        return token

    def minted(
        self,
        tenant_id: str,
        changes: Mapping[str, object],
        headers: Mapping[str, object] | None = None,
        algorithm: str = "",
    ) -> str:
        """Return a token signed with the right key, which a relay may accept or refuse.

        Some claims are changed, or omitted if `MISSING`. `headers` are added to the header. `algorithm` is another
        algorithm for the same secret. Raises ProfileLacks.
        """
        from cbspec.tokens.forgery import MISSING

        key = self.key
        if key is None:
            raise ProfileLacks("tokens.secret", f"for such a token {_KEY} is needed")
        if algorithm and not key.symmetric:
            raise ProfileLacks("tokens.secret", f"for a token signed by {algorithm} a secret (tokens.secret) is needed")
        claims = {**claims_of(self.valid(tenant_id)), **changes}
        used = SigningKey.hmac(key.private, algorithm) if algorithm else key
        payload = {name: value for name, value in claims.items() if value is not MISSING}
        return mint(used, payload, {**self._header(), **(headers or {})})

    def forged(
        self, forgery: Forgery, tenant_id: str, other_tenant: str = "", valid: str = "", certificate: bytes = b""
    ) -> object:
        """Return the value of the member `token` for a forgery, or `MISSING`.

        The forgery is made from `valid`, a valid token of `tenant_id` (default: a new one); `other_tenant` is a second
        tenant that the relay knows, and `certificate` that of its TLS in DER. Without the signing key, the profile's
        ready-made token for the forgery's purpose replaces it. Raises ProfileLacks.
        """
        from cbspec.tokens.forgery import Materials

        if forgery.needs_key and self.key is None:
            return self._replacement(forgery)
        if forgery.needs_other_tenant and not other_tenant:
            raise ProfileLacks("tenants", "a second active tenant (tenants) is needed")
        if forgery.needs_certificate and not certificate:
            raise ProfileLacks("target", "the certificate of the relay's TLS is needed, which only a connection shows")
        if forgery.needs_key_pair and self.key is not None and self.key.symmetric:
            raise ProfileLacks("tokens.key_file", "a relay that verifies with a public key (tokens.key_file) is needed")
        valid = valid or self.valid(tenant_id)
        materials = Materials(
            valid=valid,
            key=self.key,
            claims=claims_of(valid),
            now=self.now(),
            tenant_id=tenant_id,
            fresh=secrets.token_hex(8),
            other_tenant=other_tenant,
            headers=self._header(),
            certificate=certificate,
            doubt=abs(self.clock - self.shift),
        )
        try:
            return forgery.make(materials)
        except ValueError:
            # A ready-made token may be opaque.
            return self._replacement(forgery)

    def _header(self) -> dict[str, object]:
        return {} if self._tokens.key_id is None else {"kid": self._tokens.key_id}

    def _replacement(self, forgery: Forgery) -> str:
        purpose = forgery.purpose
        token: str | None = getattr(self._tokens.ready, purpose) if purpose else None
        if token is not None:
            return token
        ready = f"a ready-made token (tokens.ready.{purpose}), or " if purpose else ""
        key = f"tokens.ready.{purpose}" if purpose else "tokens.secret"
        raise ProfileLacks(key, f"{ready}{_KEY} is needed")

    def _ready_made(self, tenant_id: str) -> str | None:
        ready = self._tokens.ready
        fitting = (token for token in ready.valid_ones if claims_of(token).get("tenant_id") == tenant_id)
        return ready.tenants.get(tenant_id) or next(fitting, None)


def _signing_key(tokens: IssuerSettings) -> SigningKey | None:
    if tokens.key_file is not None:
        return SigningKey.from_pem(tokens.key_file, tokens.algorithm)
    secret = DEVELOPMENT_SECRET if tokens.development else tokens.secret
    return SigningKey.hmac(secret, tokens.algorithm or "HS256") if secret is not None else None
