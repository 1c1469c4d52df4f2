"""How tokens for the relay are signed: the settings of an issuer, and the name of its secret or key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cbspec.profile.identity import DEVELOPMENT_SECRET
from cbspec.profile.issuer import Issuer
from cbspec.profile.target import IssuerSettings
from cbspec_simulator.settings.config import ConfigError, TokenSettings
from cbspec_simulator.settings.keyring import Keyring


def issuer_settings(tokens: TokenSettings, keyring: Keyring | None) -> IssuerSettings:
    """Return the settings with which tokens are minted that the relay accepts; `keyring` has the keys of its JWKS.

    Raises ConfigError if the relay has public keys only.
    """
    if keyring is None:
        return IssuerSettings(
            secret=tokens.secret, key_file=tokens.key_file, development=tokens.development, claims=tokens.claims()
        )
    key = tokens.signing_key()
    if key is None:
        raise ConfigError("[tokens] signing_key_file: is needed to mint tokens, since the relay has public keys only")
    public = keyring.keys.holding(key)
    if public is None:
        raise ConfigError(f"[tokens] signing_key_file: its public half ({key.algorithm}) isn't in {keyring}")
    return IssuerSettings(key_file=tokens.signing_key_file, key_id=public.key_id, claims=tokens.claims())


def issuer_of(tokens: TokenSettings, keyring: Keyring | None, now: Callable[[], float], lifetime: float) -> Issuer:
    """Return the issuer of tokens that the relay accepts for `lifetime` seconds.

    `now` returns the time of the relay's clock. Raises ConfigError if the relay has public keys only.
    """
    return Issuer(replace(issuer_settings(tokens, keyring), lifetime=lifetime), now)


def secret_source(tokens: TokenSettings) -> dict[str, str]:
    """Return the source of the secret or key that verifies tokens, and its name.

    Only the development secret, which is public, is contained itself.
    """
    if tokens.development:
        return {"source": "development", "secret": DEVELOPMENT_SECRET}
    if tokens.secret_env is not None:
        return {"source": "environment", "name": tokens.secret_env}
    if tokens.secret is not None:
        return {"source": "configuration", "name": "[tokens] secret"}
    files = {"key_file": tokens.key_file, "jwks_file": tokens.jwks_file, "jwks_url": tokens.jwks_url}
    return next({"source": source, "name": str(name)} for source, name in files.items() if name is not None)
