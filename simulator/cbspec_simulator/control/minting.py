"""Tokens for clients: valid and bad ones, minted with the relay's own secret or key, by its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from cbspec.documents import DocumentReader, Text, parsed, says
from cbspec.profile.issuer import ProfileLacks
from cbspec.profile.target import USUAL_SUBJECT, IssuerSettings
from cbspec.tokens.forgery import MISSING, Forgery, by_name
from cbspec.tokens.jws import claims_of
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import ConfigError
from cbspec_simulator.settings.issuing import issuer_of

_LONGEST: Final = 10 * 365 * 86_400  # seconds
_USUAL: Final = IssuerSettings()


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The description of a token; `lifetime` is in seconds of the relay's clock."""

    tenant: Annotated[
        Text | None, says("one of the relay's tenants (if absent: the first active one)", "tenant-001")
    ] = None
    subject: Annotated[str, says("the claim sub", USUAL_SUBJECT)] = USUAL_SUBJECT
    lifetime: Annotated[
        float,
        Meta(gt=0, le=_LONGEST, title="a number of seconds, more than 0, ten years at most"),
        says("seconds until the token expires"),
    ] = _USUAL.lifetime
    bad: Annotated[
        Forgery | None, parsed(by_name), says("a kind of bad token (cbspec token --list-bad)", "expired-11-minutes")
    ] = None


def mint_token(data: object, relay: Relay, now: Callable[[], float]) -> dict[str, Any]:
    """Mint a token, and return it with its description; `data` has the keys of a `TokenRequest`.

    The result has no member `token` if the bad token is a missing one. `now` returns the time of the relay's clock.
    Raises ValueError with one line for each mistake, which names the key.
    """
    request: TokenRequest = DocumentReader(Path()).read(data, TokenRequest)
    active = [id_ for id_, tenant in relay.state.tenants.items() if tenant.active]
    tenant = request.tenant or next(iter(active), None)
    if tenant is None:
        raise ValueError("tenant: the relay has no active tenant; name one")
    if tenant not in relay.state.tenants:
        hint = "bad = tenant-new makes a token of an unknown one"
        raise ValueError(f"tenant: there is no tenant {tenant}; GET /tenants lists them, and {hint}")
    try:
        issuer = issuer_of(relay.config.tokens, relay.keyring, now, request.lifetime)
    except (ConfigError, OSError, ValueError) as error:
        raise ValueError(f"no token can be minted: {error}") from None
    valid = issuer.valid(tenant, request.subject)
    described = {"tenant": tenant, "subject": request.subject}
    forgery = request.bad
    if forgery is None:
        return {"token": valid, **described, "expires": claims_of(valid)["exp"]}
    other = next((id_ for id_ in active if id_ != tenant), "")
    try:
        token = issuer.forged(forgery, tenant, other, valid)
    except (ProfileLacks, ValueError) as error:
        raise ValueError(f"bad: {forgery.name} can't be minted for this relay: {error}") from None
    about = {"bad": forgery.name, "requirement": forgery.requirement, "meaning": forgery.sentence}
    return {**({} if token is MISSING else {"token": token}), **described, **about}
