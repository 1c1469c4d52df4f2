"""Tokens: questions of time, algorithms, claims and encoding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth
from cbspec.tokens.jws import CompactJws
from cbspec.tokens.jwt import Claims, SigningKey, TokenRejected, Verifier, mint
from cbspec_simulator.base.state import Attempt, Authority, Refused, RelayState
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, part
from cbspec_simulator.variations.requests import Verify, verifying
from cbspec_simulator.variations.steps import check


def _longer_hashes(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    try:
        return before(authority, token, now)
    except TokenRejected:
        for algorithm in ("HS384", "HS512") if authority.key.symmetric else ():
            key = SigningKey.hmac(authority.key.private, algorithm)
            try:
                return Verifier(key).verify(token, now)
            except TokenRejected:
                continue
        raise


def _expiring(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    claims = before(authority, token, now)
    if "exp" not in claims.all:
        raise TokenRejected("it has no expiry")
    return claims


def _issued(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    claims = before(authority, token, now)
    issued = claims.all.get("iat")
    if isinstance(issued, int | float) and issued > now + 60:
        raise TokenRejected("it was issued in the future")
    return claims


def _any_extension(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    """Ignore the critical extensions of a token with a valid HMAC."""
    try:
        parts = CompactJws.split(token)
        critical = "crit" in parts.headers and authority.key.symmetric
        own = critical and parts.headers.get("alg") == authority.key.algorithm
        if own and authority.key.sign(parts.signing_input) == parts.signature:
            return before(authority, mint(authority.key, parts.claims), now)
    except ValueError:
        pass
    return before(authority, token, now)


def _unpadded(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    if "=" in token:
        raise TokenRejected("it is padded")
    return before(authority, token, now)


def _tenant_only(attempt: Attempt) -> None:
    """Require a tenant, and name a client without a subject anonymous."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not isinstance(claims.tenant_id, str) or not claims.tenant_id:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no tenant")
    attempt.claims = replace(claims, subject=claims.subject or "anonymous")


def _empty_is_unknown(attempt: Attempt) -> None:
    """Require a subject, and a string as tenant, which may be empty."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not claims.subject or not isinstance(claims.tenant_id, str):
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no subject or no tenant")


def _around_auth(last: Step, every: tuple[Step, ...] = (), verified: Step | None = None) -> Change:
    """Add a step after those of auth, one after the token's, and some at each later request."""

    def change(behaviour: Behaviour) -> Behaviour:
        steps: list[Step] = []
        for step in behaviour.steps[Auth]:
            steps += [step, *([verified] if verified is not None and step.name == "valid-token" else [])]
        auth = (*steps, last)
        return part(steps={**behaviour.steps, Auth: auth}, every=(*every, *behaviour.every))(behaviour)

    return change


def _expiry_ends_service() -> Change:
    known: WeakKeyDictionary[RelayState, dict[int, float]] = WeakKeyDictionary()

    def note(attempt: Attempt) -> None:
        expires: Any = attempt.claims.all.get("exp") if attempt.claims is not None else None
        if isinstance(expires, int | float):
            known.setdefault(attempt.relay, {})[attempt.connection.number] = expires

    def look(attempt: Attempt) -> None:
        expires = known.get(attempt.relay, {}).get(attempt.connection.number)
        if expires is not None and attempt.now.epoch >= expires:
            raise Refused(ErrorCode.INVALID_TOKEN, "the token has expired")

    return _around_auth(Step("note-expiry", note), (Step("expired", look),))


def _token_for_once() -> Change:
    known: WeakKeyDictionary[RelayState, set[object]] = WeakKeyDictionary()

    def name(attempt: Attempt) -> object:
        return attempt.claims.all.get("jti") if attempt.claims is not None else None

    def look(attempt: Attempt) -> None:
        if name(attempt) in known.get(attempt.relay, set()):
            raise Refused(ErrorCode.INVALID_TOKEN, "the token was used already")

    def note(attempt: Attempt) -> None:
        if isinstance(name(attempt), str):
            known.setdefault(attempt.relay, set()).add(name(attempt))

    return _around_auth(Step("note-token", note), verified=Step("shown-already", look))


CHANGES: dict[str, Change] = {
    "leeway-of-a-minute": part(leeway=60.0),
    "longer-hashes-accepted": verifying(_longer_hashes),
    "expiry-required": verifying(_expiring),
    "subject-not-required": check("complete-claims", _tenant_only),
    "critical-extension-passed-over": verifying(_any_extension),
    "padded-token-refused": verifying(_unpadded),
    "expiry-ends-service": _expiry_ends_service(),
    "token-for-once": _token_for_once(),
    "future-token-refused": verifying(_issued),
    "empty-tenant-as-tenant-not-found": check("complete-claims", _empty_is_unknown),
}
