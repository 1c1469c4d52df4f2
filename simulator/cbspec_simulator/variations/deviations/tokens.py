"""Deviations of tokens: a `Repair` returns the good token that a bad one of its kind is mistaken for, or None."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from cbspec.tokens.jws import CompactJws, dump
from cbspec.tokens.jwt import Claims, TokenRejected
from cbspec_simulator.base.state import Authority
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, both
from cbspec_simulator.variations.requests import Test, Verify, accepts, missing, of_type, verifying

Repair = Callable[[Authority, CompactJws, float], CompactJws | None]

_ANYONE = "\0anyone"
"""Replaces a token that is absent. It is compared by identity, so that no client can send it."""


def _anyone(authority: Authority) -> Claims:
    tenant = next(tenant for tenant in authority.tenants.values() if tenant.active)
    return Claims("anyone", tenant.id, {})


def _repairing(repair: Repair) -> Change:
    """Accept the bad tokens that `repair` repairs."""

    def read(verify: Verify, authority: Authority, token: str, now: float) -> Claims | None:
        repaired = repair(authority, CompactJws.split(token), now)
        return None if repaired is None else verify(authority, str(repaired), now)

    return _rejected(read)


def _accepting_text(read: Callable[[Authority, str], Claims | None]) -> Change:
    """Accept the bad tokens whose claims `read` returns."""
    return _rejected(lambda _, authority, token, __: read(authority, token))


def _rejected(read: Callable[[Verify, Authority, str, float], Claims | None]) -> Change:
    """Accept the rejected tokens whose claims `read` returns."""

    def around(verify: Verify, authority: Authority, token: str, now: float) -> Claims:
        try:
            return verify(authority, token, now)
        except TokenRejected:
            with contextlib.suppress(ValueError):
                if (claims := read(verify, authority, token, now)) is not None:
                    return claims
            raise

    return verifying(around)


def _accepting_token(when: Test, by: object = _ANYONE) -> Change:
    """Accept an auth whose token isn't a string, or is empty."""
    anyone = _accepting_text(lambda authority, token: _anyone(authority) if token is _ANYONE else None)
    return both(anyone, accepts("auth", "token", when, by))


def _signed(authority: Authority, token: CompactJws, headers: Mapping[str, object] | None = None) -> CompactJws:
    """Sign the payload of a token with the issuer's key."""
    right = {"alg": authority.key.algorithm, "typ": "JWT"} if headers is None else headers
    return CompactJws.signed(right, token.payload, authority.key.sign)


def _genuine(authority: Authority, token: CompactJws) -> bool:
    """Whether a token was signed with the key. Algorithms whose signatures vary are not supported."""
    return hmac.compare_digest(authority.key.sign(token.signing_input), token.signature)


def _right_algorithm(authority: Authority, token: CompactJws) -> bool:
    return token.headers.get("alg") == authority.key.algorithm


def _with(authority: Authority, token: CompactJws, **claims: object) -> CompactJws:
    return _signed(authority, replace(token, payload=dump({**token.claims, **claims})), token.headers)


def _late_where(test: Callable[[float], bool]) -> Repair:
    """Postpone the expiry of a genuine token if `test` is true of it."""

    def repair(authority: Authority, token: CompactJws, now: float) -> CompactJws | None:
        expires = token.claims.get("exp")
        late = isinstance(expires, int | float) and expires <= now and test(expires)
        return _with(authority, token, exp=int(now) + 60) if late and _genuine(authority, token) else None

    return repair


def _early(authority: Authority, token: CompactJws, now: float) -> CompactJws | None:
    """Start the validity of a genuine token now."""
    starts = token.claims.get("nbf")
    soon = isinstance(starts, int | float) and starts > now
    return _with(authority, token, nbf=int(now)) if soon and _genuine(authority, token) else None


def _of_any_tenant(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
    """Accept a signature over the same claims with any tenant."""
    payloads = (dump({**token.claims, "tenant_id": id_}) for id_ in authority.tenants)
    good = any(_genuine(authority, replace(token, payload=payload)) for payload in payloads)
    return _signed(authority, token, token.headers) if good else None


def _signature_cached(behaviour: Behaviour) -> Behaviour:
    """Cache the signatures of good tokens, and accept any token with one of them."""
    seen: set[str] = set()

    def verify(authority: Authority, token: str, now: float) -> Claims:
        signature = token.rpartition(".")[2]
        if signature in seen:
            try:
                parts = CompactJws.split(token)
                token = str(_signed(authority, parts, parts.headers))
            except ValueError:
                raise TokenRejected("it isn't a JWT") from None
        claims = behaviour.verify(authority, token, now)
        seen.add(signature)
        return claims

    return replace(behaviour, verify=verify)


def _signature_where(test: Callable[[bytes, bytes], bool]) -> Repair:
    """Accept a signature if `test` is true of the right one and the given one."""

    def repair(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
        right = authority.key.sign(token.signing_input)
        good = _right_algorithm(authority, token) and test(right, token.signature)
        return _signed(authority, token, token.headers) if good else None

    return repair


def _hmac(token: CompactJws, secret: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, token.signing_input, "sha256"), token.signature)


def _weak_secret(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
    weak = token.headers.get("alg") == "HS256" and _hmac(token, b"secret")
    return _signed(authority, token) if weak else None


def _none_where(test: Callable[[str], bool]) -> Repair:
    """Accept the algorithm "none" without verification if `test` is true of its spelling."""

    def repair(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
        name = token.headers.get("alg")
        meant = isinstance(name, str) and name.lower() == "none" and test(name)
        return _signed(authority, token) if meant else None

    return repair


def _any_algorithm(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
    """Accept the right key's signature for any algorithm."""
    other = not _right_algorithm(authority, token) and token.headers.get("alg") != "none"
    return _signed(authority, token) if other and _genuine(authority, token) else None


def _embedded_secret(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
    """Verify with the secret in the token's header (Source: RFC 7515, 4.1.3)."""
    jwk = token.headers.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") != "oct":
        return None
    secret = base64.urlsafe_b64decode(str(jwk.get("k")) + "==")
    return _signed(authority, token) if _hmac(token, secret) else None


def _any_text(authority: Authority, token: str) -> Claims | None:
    """Accept a text that doesn't look like a token."""
    return None if "." in token or token.startswith("{") else _anyone(authority)


def _json_text(authority: Authority, token: str) -> Claims | None:
    claims = json.loads(token)
    known = isinstance(claims, dict) and claims.get("tenant_id") in authority.tenants
    return Claims(str(claims.get("sub", "")), claims["tenant_id"], claims) if known else None


CHANGES: dict[str, Change] = {
    "expired-accepted": _repairing(_late_where(lambda _: True)),
    "expiry-zero-ignored": _repairing(_late_where(lambda expires: expires == 0)),
    "nbf-ignored": _repairing(_early),
    "tenant-unsigned": _repairing(_of_any_tenant),
    "signature-cached": _signature_cached,
    "signature-unchecked": _repairing(_signature_where(lambda *_: True)),
    "signature-first-half": _repairing(
        _signature_where(lambda right, seen: seen[: len(right) // 2] == right[: len(right) // 2])
    ),
    "signature-empty-accepted": _repairing(_signature_where(lambda _, seen: not seen)),
    "weak-secret-accepted": _repairing(_weak_secret),
    "alg-none-accepted": _repairing(_none_where(lambda _: True)),
    "alg-none-mixed-case-accepted": _repairing(_none_where(lambda name: name != "none")),
    "algorithm-confusion": _repairing(_any_algorithm),
    "embedded-secret-trusted": _repairing(_embedded_secret),
    "any-text-accepted": _accepting_text(_any_text),
    "json-claims-accepted": _accepting_text(_json_text),
    "empty-token-accepted": _accepting_token(lambda value: value == ""),
    "missing-token-accepted": _accepting_token(missing),
    "null-token-accepted": _accepting_token(of_type(type(None))),
}
