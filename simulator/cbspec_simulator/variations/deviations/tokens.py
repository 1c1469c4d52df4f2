"""How bad tokens are accepted: a `Mend` returns the good token that a bad one of its kind is mistaken for, or None."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from cbspec.tokens.jws import Compact, dump
from cbspec.tokens.jwt import Claims, TokenRejected
from cbspec_simulator.base.state import Authority
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, both
from cbspec_simulator.variations.requests import Test, accepts

Mend = Callable[[Authority, Compact, float], Compact | None]

_ANYONE = "\0anyone"
"""Replaces a token that is absent. It is compared by identity, so that no client can send it."""


def _anyone(authority: Authority) -> Claims:
    tenant = next(tenant for tenant in authority.tenants.values() if tenant.active)
    return Claims("anyone", tenant.id, {})


def mends(mend: Mend) -> Change:
    """Accept the bad tokens that `mend` repairs."""

    def change(behaviour: Behaviour) -> Behaviour:
        def verify(authority: Authority, token: str, now: float) -> Claims:
            try:
                return behaviour.verify(authority, token, now)
            except TokenRejected:
                try:
                    mended = mend(authority, Compact.split(token), now)
                except ValueError:
                    mended = None
                if mended is None:
                    raise
                return behaviour.verify(authority, str(mended), now)

        return replace(behaviour, verify=verify)

    return change


def takes_text(read: Callable[[Authority, str], Claims | None]) -> Change:
    """Accept the bad tokens whose claims `read` returns."""

    def change(behaviour: Behaviour) -> Behaviour:
        def verify(authority: Authority, token: str, now: float) -> Claims:
            try:
                return behaviour.verify(authority, token, now)
            except TokenRejected:
                try:
                    claims = read(authority, token)
                except ValueError:
                    claims = None
                if claims is None:
                    raise
                return claims

        return replace(behaviour, verify=verify)

    return change


def takes_token(when: Test, by: object = _ANYONE) -> Change:
    """Accept an auth whose token isn't a string, or is empty."""
    anyone = takes_text(lambda authority, token: _anyone(authority) if token is _ANYONE else None)
    return both(anyone, accepts("auth", "token", when, by))


def signed(authority: Authority, token: Compact, headers: Mapping[str, object] | None = None) -> Compact:
    """Sign the payload of a token with the issuer's key."""
    right = {"alg": authority.key.algorithm, "typ": "JWT"} if headers is None else headers
    return Compact.signed(right, token.payload, authority.key.sign)


def genuine(authority: Authority, token: Compact) -> bool:
    """Whether a token was signed with the key. Algorithms whose signatures vary are not supported."""
    return hmac.compare_digest(authority.key.sign(token.signing_input), token.signature)


def _right_algorithm(authority: Authority, token: Compact) -> bool:
    return token.headers.get("alg") == authority.key.algorithm


def _with(authority: Authority, token: Compact, **claims: object) -> Compact:
    return signed(authority, replace(token, payload=dump({**token.claims, **claims})), token.headers)


def late_where(test: Callable[[float, float], bool]) -> Mend:
    """Postpone the expiry of a genuine token if `test` is true of it and the time."""

    def mend(authority: Authority, token: Compact, now: float) -> Compact | None:
        expires = token.claims.get("exp")
        late = isinstance(expires, int | float) and expires <= now and test(expires, now)
        return _with(authority, token, exp=int(now) + 60) if late and genuine(authority, token) else None

    return mend


def early_where(test: Callable[[float, float], bool]) -> Mend:
    """Start the validity of a genuine token now if `test` is true of its start and the time."""

    def mend(authority: Authority, token: Compact, now: float) -> Compact | None:
        starts = token.claims.get("nbf")
        soon = isinstance(starts, int | float) and starts > now and test(starts, now)
        return _with(authority, token, nbf=int(now)) if soon and genuine(authority, token) else None

    return mend


def covered(cover: Callable[[Authority, Compact], list[bytes]]) -> Mend:
    """Accept a signature over one of the payloads that `cover` returns."""

    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        good = any(genuine(authority, replace(token, payload=payload)) for payload in cover(authority, token))
        return signed(authority, token, token.headers) if good else None

    return mend


def each_tenant(authority: Authority, token: Compact) -> list[bytes]:
    """Return the payload for each tenant."""
    return [dump({**token.claims, "tenant_id": id_}) for id_ in authority.tenants]


def signature_cache() -> Change:
    """Cache the signatures of good tokens, and accept any token with one of them."""

    def change(behaviour: Behaviour) -> Behaviour:
        seen: set[str] = set()

        def verify(authority: Authority, token: str, now: float) -> Claims:
            signature = token.rpartition(".")[2]
            if signature in seen:
                try:
                    parts = Compact.split(token)
                    token = str(signed(authority, parts, parts.headers))
                except ValueError:
                    raise TokenRejected("it isn't a JWT") from None
            claims = behaviour.verify(authority, token, now)
            seen.add(signature)
            return claims

        return replace(behaviour, verify=verify)

    return change


def signature_where(test: Callable[[bytes, bytes], bool]) -> Mend:
    """Accept a signature if `test` is true of the right one and the given one."""

    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        right = authority.key.sign(token.signing_input)
        good = _right_algorithm(authority, token) and test(right, token.signature)
        return signed(authority, token, token.headers) if good else None

    return mend


def _hmac(token: Compact, secret: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, token.signing_input, "sha256"), token.signature)


def secret_is(secret: str) -> Mend:
    """Accept a signature with another secret."""

    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        weak = token.headers.get("alg") == "HS256" and _hmac(token, secret.encode())
        return signed(authority, token) if weak else None

    return mend


def none_where(test: Callable[[str, bytes], bool]) -> Mend:
    """Accept the algorithm "none" without verification if `test` is true of its spelling and the signature."""

    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        name = token.headers.get("alg")
        meant = isinstance(name, str) and name.lower() == "none" and test(name, token.signature)
        return signed(authority, token) if meant else None

    return mend


def any_algorithm(authority: Authority, token: Compact, _: float) -> Compact | None:
    """Accept the right key's signature for any algorithm."""
    other = not _right_algorithm(authority, token) and token.headers.get("alg") != "none"
    return signed(authority, token) if other and genuine(authority, token) else None


def embedded_secret(authority: Authority, token: Compact, _: float) -> Compact | None:
    """Verify with the secret in the token's header (Source: RFC 7515, 4.1.3)."""
    jwk = token.headers.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") != "oct":
        return None
    try:
        secret = base64.urlsafe_b64decode(str(jwk.get("k")) + "==")
    except binascii.Error:
        return None
    return signed(authority, token) if _hmac(token, secret) else None


def any_text(authority: Authority, token: str) -> Claims | None:
    """Accept a text that doesn't look like a token."""
    return None if "." in token or token.startswith("{") else _anyone(authority)


def json_text(authority: Authority, token: str) -> Claims | None:
    """Accept claims in JSON as a token."""
    return _claims(authority, token)


def _claims(authority: Authority, payload: bytes | str) -> Claims | None:
    try:
        claims = json.loads(payload)
    except ValueError:
        return None
    known = isinstance(claims, dict) and claims.get("tenant_id") in authority.tenants
    return Claims(str(claims.get("sub", "")), claims["tenant_id"], claims) if known else None
