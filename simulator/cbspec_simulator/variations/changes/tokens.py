"""Tokens: a `Repair` returns the good token that a bad one of its kind is mistaken for, or None."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cbspec.profile.identity import DevelopmentCA
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import Auth
from cbspec.tokens.foreign_keys import public_forms
from cbspec.tokens.jws import CompactJws, dump
from cbspec.tokens.jwt import Claims, SigningKey, TokenRejected, Verifier
from cbspec_simulator.base.state import Attempt, Authority, Refused
from cbspec_simulator.base.steps import Step
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, around, both, notes, part
from cbspec_simulator.variations.requests import Test, Verify, accepts, missing, of_type
from cbspec_simulator.variations.steps import added, claims_of, each_step

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
    """Accept the rejected tokens whose claims `read` returns; it returns None or raises ValueError for the others."""

    def verified(verify: Verify, authority: Authority, token: str, now: float) -> Claims:
        try:
            return verify(authority, token, now)
        except TokenRejected:
            with contextlib.suppress(ValueError):
                if (claims := read(verify, authority, token, now)) is not None:
                    return claims
            raise

    return around("verify", verified)


def _rejecting(reason: str, test: Callable[[str, Claims, float], bool]) -> Change:
    """Reject valid tokens for which `test` is true of the text, the claims and the time."""

    def verified(verify: Verify, authority: Authority, token: str, now: float) -> Claims:
        claims = verify(authority, token, now)
        if test(token, claims, now):
            raise TokenRejected(reason)
        return claims

    return around("verify", verified)


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


def _moved(claim: str, test: Callable[[float, float], bool], by: int) -> Change:
    """Move a time in a genuine token to `by` seconds from now if `test` is true of it and the present time."""

    def repair(authority: Authority, token: CompactJws, now: float) -> CompactJws | None:
        time = token.claims.get(claim)
        if not isinstance(time, int | float) or not test(time, now) or not _genuine(authority, token):
            return None
        payload = dump({**token.claims, claim: int(now) + by})
        return _signed(authority, replace(token, payload=payload), token.headers)

    return _repairing(repair)


def _signed_where(test: Callable[[Authority, CompactJws], object], *, header: bool = False) -> Change:
    """Accept a token as if it were signed with the key if `test` is true of it; with `header`, it keeps its header."""

    def repair(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
        return _signed(authority, token, token.headers if header else None) if test(authority, token) else None

    return _repairing(repair)


def signature_where(test: Callable[[bytes, bytes], bool]) -> Change:
    """Accept a signature of the right algorithm if `test` is true of the right one and the given one."""
    return _signed_where(
        lambda authority, token: (
            _right_algorithm(authority, token) and test(authority.key.sign(token.signing_input), token.signature)
        ),
        header=True,
    )


def _of_any_tenant(authority: Authority, token: CompactJws) -> bool:
    """Accept a signature over the same claims with any tenant."""
    payloads = (dump({**token.claims, "tenant_id": id_}) for id_ in authority.tenants)
    return any(_genuine(authority, replace(token, payload=payload)) for payload in payloads)


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


def _token_cached(behaviour: Behaviour) -> Behaviour:
    """Cache the claims of good tokens by their text, for ever."""
    known: dict[str, Claims] = {}

    def verify(authority: Authority, token: str, now: float) -> Claims:
        if token not in known:
            known[token] = behaviour.verify(authority, token, now)
        return known[token]

    return replace(behaviour, verify=verify)


def _hmac(token: CompactJws, secret: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, token.signing_input, "sha256"), token.signature)


def _by_secret(secret: Callable[[CompactJws], object]) -> Change:
    """Accept an HS256 token that is keyed with a text that `secret` returns; None: there is none."""

    def signed(_: Authority, token: CompactJws) -> bool:
        found = secret(token)
        return token.headers.get("alg") == "HS256" and isinstance(found, str) and _hmac(token, found.encode())

    return _signed_where(signed)


def _by_certificate(secret: Callable[[x509.Certificate], bytes]) -> Change:
    """Accept an HS256 token that is keyed with a text made of the relay's certificate."""
    secrets: list[bytes] = []

    def certificate(
        issue: Callable[..., tuple[bytes, bytes]], ca: DevelopmentCA, names: Iterable[str]
    ) -> tuple[bytes, bytes]:
        chain, key = issue(ca, names)
        secrets.append(secret(x509.load_pem_x509_certificate(chain)))
        return chain, key

    def signed(_: Authority, token: CompactJws) -> bool:
        return token.headers.get("alg") == "HS256" and any(_hmac(token, each) for each in secrets)

    return both(around("certificate", certificate), _signed_where(signed))


def _public_form(form: str) -> Callable[[x509.Certificate], bytes]:
    return lambda certificate: public_forms(certificate.public_key())[form]


def _none_where(test: Callable[[str], bool]) -> Change:
    """Accept the algorithm "none" without verification if `test` is true of its spelling."""

    def spelled(_: Authority, token: CompactJws) -> bool:
        name = token.headers.get("alg")
        return isinstance(name, str) and name.lower() == "none" and test(name)

    return _signed_where(spelled)


def _any_algorithm(authority: Authority, token: CompactJws) -> bool:
    """Accept the right key's signature for any algorithm."""
    other = not _right_algorithm(authority, token) and token.headers.get("alg") != "none"
    return other and _genuine(authority, token)


def _embedded_secret(_: Authority, token: CompactJws) -> bool:
    """Verify with the secret in the token's header (Source: RFC 7515, 4.1.3)."""
    jwk = token.headers.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") != "oct":
        return False
    return _hmac(token, base64.urlsafe_b64decode(str(jwk.get("k")) + "=="))


def _any_text(authority: Authority, token: str) -> Claims | None:
    """Accept a text that doesn't look like a token."""
    return None if "." in token or token.startswith("{") else _anyone(authority)


def _json_text(authority: Authority, token: str) -> Claims | None:
    claims = json.loads(token)
    known = isinstance(claims, dict) and claims.get("tenant_id") in authority.tenants
    return Claims(str(claims.get("sub", "")), claims["tenant_id"], claims) if known else None


def _longer_hashes(_: Verify, authority: Authority, token: str, now: float) -> Claims | None:
    for algorithm in ("HS384", "HS512") if authority.key.symmetric else ():
        with contextlib.suppress(TokenRejected):
            return Verifier(SigningKey.hmac(authority.key.private, algorithm)).verify(token, now)
    return None


def _critical(authority: Authority, token: CompactJws) -> bool:
    """Ignore the critical extensions of a token with a valid HMAC."""
    own = "crit" in token.headers and authority.key.symmetric and _right_algorithm(authority, token)
    return own and _genuine(authority, token)


def _when(claims: Claims) -> float:
    expires = claims.all.get("exp")
    return expires if isinstance(expires, int | float) else 0.0


def _is_time(claims: Claims) -> bool:
    issued = claims.all.get("iat", 0)
    return isinstance(issued, int | float) and not isinstance(issued, bool) and 0 <= issued < 2**63


def _times_as_numbers(authority: Authority, token: CompactJws, _: float) -> CompactJws | None:
    """Read texts of digits as times in a genuine token."""
    times = {name: value for name, value in token.claims.items() if name in ("exp", "nbf", "iat")}
    texts = {name: int(value) for name, value in times.items() if isinstance(value, str) and value.isdecimal()}
    if not texts or not _genuine(authority, token):
        return None
    return _signed(authority, replace(token, payload=dump({**token.claims, **texts})), token.headers)


def _issued_later(_: str, claims: Claims, now: float) -> bool:
    issued = claims.all.get("iat")
    return isinstance(issued, int | float) and issued > now + 60


_noted = notes()


def _note_expiry(attempt: Attempt) -> None:
    expires = claims_of(attempt).all.get("exp")
    if isinstance(expires, int | float):
        _noted(attempt.relay)[attempt.connection.number] = expires


def _not_expired(attempt: Attempt) -> None:
    if attempt.now.epoch >= _noted(attempt.relay).get(attempt.connection.number, float("inf")):
        raise Refused(ErrorCode.INVALID_TOKEN, "the token has expired")


def _expiry_checked(behaviour: Behaviour) -> Behaviour:
    """Check at each request whether the token of the connection has expired."""
    noting = added(Auth, Step("note-expiry", _note_expiry))(behaviour)
    return replace(noting, every=(Step("expired", _not_expired), *behaviour.every))


def _first_use(attempt: Attempt) -> None:
    name = claims_of(attempt).all.get("jti")
    if isinstance(name, str) and name in _noted(attempt.relay):
        raise Refused(ErrorCode.INVALID_TOKEN, "the token was used already")


def _note_use(attempt: Attempt) -> None:
    name = claims_of(attempt).all.get("jti")
    if isinstance(name, str):
        _noted(attempt.relay)[name] = True


CHANGES: dict[str, Change] = {
    "expired-accepted": _moved("exp", lambda expires, now: expires <= now, 60),
    "expiry-zero-ignored": _moved("exp", lambda expires, _: expires == 0, 60),
    "expiry-negative-ignored": _moved("exp", lambda expires, _: -1e300 < expires < 0, 60),
    "expiry-in-32-bits": _moved("exp", lambda expires, now: abs(expires) < 1e18 and int(expires) % 2**32 > now, 60),
    "expiry-rounded-to-zero": _moved("exp", lambda expires, _: 0 < expires < 1, 60),
    "expiry-overflow-ignored": _moved("exp", lambda expires, _: math.isinf(expires), 60),
    "nbf-in-32-bits": _moved("nbf", lambda starts, now: starts < 1e18 and int(starts) % 2**32 <= now < starts, 0),
    "nbf-infinite-ignored": _moved("nbf", lambda starts, _: math.isinf(starts), 0),
    "nbf-large-ignored": _moved("nbf", lambda starts, _: starts > 2**53, 0),
    "nbf-ignored": _moved("nbf", lambda starts, now: starts > now, 0),
    "tenant-unsigned": _signed_where(_of_any_tenant, header=True),
    "signature-cached": _signature_cached,
    "signature-unchecked": signature_where(lambda *_: True),
    "signature-first-half": signature_where(lambda right, seen: seen[: len(right) // 2] == right[: len(right) // 2]),
    "signature-as-far-as-given": signature_where(lambda right, seen: len(seen) > 1 and right.startswith(seen)),
    "signature-compared-as-text": signature_where(
        lambda right, seen: right.partition(b"\0")[0] == seen.partition(b"\0")[0]
    ),
    "signature-last-byte-ignored": signature_where(lambda right, seen: seen[:-1] == right[:-1]),
    "token-cached": both(part(leeway=20.0), _token_cached),
    "signature-empty-accepted": signature_where(lambda _, seen: not seen),
    "weak-secret-accepted": _signed_where(
        lambda _, token: token.headers.get("alg") == "HS256" and _hmac(token, b"secret")
    ),
    "empty-secret-accepted": _by_secret(lambda _: ""),
    "blank-secret-accepted": _by_secret(lambda _: " "),
    "sample-secret-accepted": _by_secret(lambda _: "a-string-secret-at-least-256-bits-long"),
    "key-id-as-secret": _by_secret(lambda token: token.headers.get("kid")),
    "issuer-as-secret": _by_secret(lambda token: token.claims.get("iss")),
    "tls-public-key-as-secret": _by_certificate(_public_form("PEM")),
    "tls-public-key-trimmed-as-secret": _by_certificate(_public_form("PEM without line feed")),
    "tls-public-key-der-as-secret": _by_certificate(_public_form("DER")),
    "tls-public-key-raw-as-secret": _by_certificate(_public_form("raw bytes")),
    "tls-certificate-as-secret": _by_certificate(lambda certificate: certificate.public_bytes(Encoding.PEM)),
    "alg-none-accepted": _none_where(lambda _: True),
    "alg-none-mixed-case-accepted": _none_where(lambda name: name != "none"),
    "algorithm-missing-accepted": _signed_where(lambda _, token: "alg" not in token.headers),
    "algorithm-confusion": _signed_where(_any_algorithm),
    "embedded-secret-trusted": _signed_where(_embedded_secret),
    "any-text-accepted": _accepting_text(_any_text),
    "json-claims-accepted": _accepting_text(_json_text),
    "empty-token-accepted": _accepting_token(lambda value: value == ""),
    "missing-token-accepted": _accepting_token(missing),
    "null-token-accepted": _accepting_token(of_type(type(None))),
    "leeway-of-a-minute": part(leeway=60.0),
    "longer-hashes-accepted": _rejected(_longer_hashes),
    "expiry-required": _rejecting("it has no expiry", lambda _, claims, __: "exp" not in claims.all),
    "critical-extension-passed-over": _signed_where(_critical),
    "padded-token-refused": _rejecting("it is padded", lambda token, _, __: "=" in token),
    "expiry-ends-service": _expiry_checked,
    "token-for-once": both(
        each_step("valid-token", lambda step: (step, Step("first-use", _first_use))),
        added(Auth, Step("note-use", _note_use)),
    ),
    "expiry-beyond-2038-refused": _rejecting("it expires too late", lambda _, claims, __: _when(claims) > 2**31),
    "expiry-in-whole-seconds": _rejecting(
        "its expiry is not whole", lambda _, claims, __: isinstance(claims.all.get("exp"), float)
    ),
    "issued-at-number-required": _rejecting("its iat is no time", lambda _, claims, __: not _is_time(claims)),
    "times-as-text-accepted": _repairing(_times_as_numbers),
    "future-token-refused": _rejecting("it was issued in the future", _issued_later),
}
