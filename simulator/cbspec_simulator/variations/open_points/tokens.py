"""Which tokens are good: what the specification doesn't say of their times, algorithms, claims and spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import Claims, InvalidToken, SigningKey, Verifier, mint
from cbspec_simulator.base.state import Attempt, Authority, Refused, RelayState
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.compose import Change, check, part
from cbspec_simulator.variations.open_points.kind import OpenPoint

Verify = Callable[[Authority, str, float], Claims]


def _verifying(around: Callable[[Verify, Authority, str, float], Claims]) -> Change:
    """Verify tokens by a function that is given the way it was before."""

    def change(behaviour: Behaviour) -> Behaviour:
        before = behaviour.verify
        return replace(behaviour, verify=lambda authority, token, now: around(before, authority, token, now))

    return change


def _longer_hashes(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    try:
        return before(authority, token, now)
    except InvalidToken:
        for algorithm in ("HS384", "HS512") if authority.key.symmetric else ():
            key = SigningKey.hmac(authority.key.private, algorithm)
            try:
                return Verifier(key).verify(token, now)
            except InvalidToken:
                continue
        raise


def _expiring(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    claims = before(authority, token, now)
    if "exp" not in claims.all:
        raise InvalidToken("it never expires")
    return claims


def _issued(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    claims = before(authority, token, now)
    issued = claims.all.get("iat")
    if isinstance(issued, int | float) and issued > now + 60:
        raise InvalidToken("it was issued in the future")
    return claims


def _any_extension(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    """Pass over what the header demands, where the signature (an HMAC) is right."""
    try:
        parts = Compact.split(token)
        critical = "crit" in parts.headers and authority.key.symmetric
        own = critical and parts.headers.get("alg") == authority.key.algorithm
        if own and authority.key.sign(parts.signing_input) == parts.signature:
            return before(authority, mint(authority.key, parts.claims), now)
    except ValueError:
        pass
    return before(authority, token, now)


def _unpadded(before: Verify, authority: Authority, token: str, now: float) -> Claims:
    if "=" in token:
        raise InvalidToken("it is padded")
    return before(authority, token, now)


def _tenant_only(attempt: Attempt) -> None:
    """Ask for a tenant, and call a client without a name anonymous."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not isinstance(claims.tenant_id, str) or not claims.tenant_id:
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no tenant")
    attempt.claims = replace(claims, subject=claims.subject or "anonymous")


def _empty_is_unknown(attempt: Attempt) -> None:
    """Ask for a subject and for text as a tenant; an empty one is then a tenant that nobody knows."""
    claims = attempt.claims
    assert claims is not None  # noqa: S101 - set by the step before
    if not claims.subject or not isinstance(claims.tenant_id, str):
        raise Refused(ErrorCode.INVALID_TOKEN, "the token is not accepted: it names no subject or no tenant")


def _around_auth(behind: Step, every: tuple[Step, ...] = (), before: Step | None = None) -> Change:
    """Take a step behind those of auth, one before what follows the token's, and some at each later request."""

    def change(behaviour: Behaviour) -> Behaviour:
        steps: list[Step] = []
        for step in behaviour.steps[Auth]:
            steps += [step, *([before] if before is not None and step.name == "valid-token" else [])]
        auth = (*steps, behind)
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
            raise Refused(ErrorCode.INVALID_TOKEN, "the token was shown already")

    def note(attempt: Attempt) -> None:
        if isinstance(name(attempt), str):
            known.setdefault(attempt.relay, set()).add(name(attempt))

    return _around_auth(Step("note-token", note), before=Step("shown-already", look))


OPEN_POINTS = (
    OpenPoint(
        "leeway-of-a-minute", "CB-AUT-104", "Tokens are good for a minute more at either end.", part(leeway=60.0)
    ),
    OpenPoint(
        "longer-hashes-accepted",
        "CB-AUT-105",
        "A token is also good where it is signed by HS384 or HS512 with the same secret.",
        _verifying(_longer_hashes),
    ),
    OpenPoint("expiry-required", "CB-AUT-106", "A token without an expiry is refused.", _verifying(_expiring)),
    OpenPoint(
        "subject-not-required",
        "CB-AUT-107",
        "A token needs no subject; the client_id is anonymous then.",
        check("complete-claims", _tenant_only),
    ),
    OpenPoint(
        "critical-extension-passed-over",
        "CB-AUT-108",
        "A token whose header demands an unknown extension is accepted.",
        _verifying(_any_extension),
    ),
    OpenPoint("padded-token-refused", "CB-AUT-109", "A token in padded base64url is refused.", _verifying(_unpadded)),
    OpenPoint(
        "expiry-ends-service",
        "CB-AUT-110",
        "A connection whose token has expired is refused everything.",
        _expiry_ends_service(),
    ),
    OpenPoint("token-for-once", "CB-AUT-111", "A token can be shown once.", _token_for_once()),
    OpenPoint("future-token-refused", "CB-AUT-112", "A token issued in the future is refused.", _verifying(_issued)),
    OpenPoint(
        "empty-tenant-as-tenant-not-found",
        "CB-TEN-101",
        "A token whose tenant_id is empty is refused with tenant_not_found.",
        check("complete-claims", _empty_is_unknown),
    ),
)
