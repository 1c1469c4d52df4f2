"""More tokens and tenants taken for good, each kind on its own."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator

from cbspec.profile.target import Tenant
from cbspec.protocol.codes import ErrorCode
from cbspec.protocol.messages import TunnelInfo
from cbspec.tokens.jws import Compact
from cbspec.tokens.jwt import Claims
from cbspec_simulator.base.state import Attempt, Authority, Refused
from cbspec_simulator.base.steps import known_tenant
from cbspec_simulator.variations.compose import Test, accepts, check
from cbspec_simulator.variations.deviations.kind import Deviation
from cbspec_simulator.variations.deviations.mends import (
    Mend,
    early_where,
    genuine,
    mends,
    secret_is,
    signature_where,
    signed,
    takes_text,
    takes_token,
)
from cbspec_simulator.variations.deviations.tenants import found, tolerant, tunnel_without


def _algorithm(name: str) -> Mend:
    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        named = token.headers.get("alg") == name
        return signed(authority, token) if named and genuine(authority, token) else None

    return mend


def _brings(header: str) -> Mend:
    """Trust whoever brings a key of a kind: as if it had been verified by it."""

    def mend(authority: Authority, token: Compact, _: float) -> Compact | None:
        brought = token.headers.get(header)
        public = not (isinstance(brought, dict) and brought.get("kty") == "oct")
        return signed(authority, token) if brought and public else None

    return mend


def _two_segments(authority: Authority, token: str) -> Claims | None:
    if token.count(".") != 1:
        return None
    return _claims(authority, Compact.split(f"{token}.AAAA").payload)


def _foreign_characters(authority: Authority, token: str) -> Claims | None:
    cleaned = token.replace("!", "")
    if cleaned == token:
        return None
    parts = Compact.split(cleaned)
    return _claims(authority, parts.payload) if genuine(authority, parts) else None


def _in_an_array(authority: Authority, token: str) -> Claims | None:
    payload = Compact.split(token).payload if token.count(".") == 2 else b""
    return _claims(authority, payload[1:-1]) if payload.startswith(b"[") else None


def _payload_alone(authority: Authority, token: str) -> Claims | None:
    if "." in token or not token.startswith("ey"):
        return None
    return _claims(authority, Compact.split(f"AAAA.{token}.AAAA").payload)


def _claims(authority: Authority, payload: bytes) -> Claims | None:
    try:
        claims = json.loads(payload)
    except ValueError:
        return None
    known = isinstance(claims, dict) and claims.get("tenant_id") in authority.tenants
    return Claims(str(claims.get("sub")), claims["tenant_id"], claims) if known else None


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


MENDED: tuple[tuple[str, str, str, Mend], ...] = (
    (
        "nbf-within-an-hour-ignored",
        "CB-AUT-006",
        "A token is good from an hour before its time.",
        early_where(lambda starts, now: starts - now < 3600),
    ),
    (
        "nbf-far-off-ignored",
        "CB-AUT-006",
        "A time that is more than an hour off is not looked at.",
        early_where(lambda starts, now: starts - now >= 3600),
    ),
    (
        "signature-prefix-accepted",
        "CB-AUT-008",
        "The beginning of the right signature will do.",
        signature_where(lambda right, seen: bool(seen) and len(seen) < len(right) and right.startswith(seen)),
    ),
    (
        "signature-extended-accepted",
        "CB-AUT-008",
        "What follows the right signature is ignored.",
        signature_where(lambda right, seen: len(seen) > len(right) and seen.startswith(right)),
    ),
    (
        "signature-last-byte-ignored",
        "CB-AUT-008",
        "The signature's last byte is not compared.",
        signature_where(lambda right, seen: len(seen) == len(right) and seen[:-1] == right[:-1]),
    ),
    (
        "signature-first-byte-ignored",
        "CB-AUT-008",
        "The signature's first byte is not compared.",
        signature_where(lambda right, seen: len(seen) == len(right) and seen[1:] == right[1:]),
    ),
    (
        "signature-zero-accepted",
        "CB-AUT-008",
        "A signature of zero bytes is good.",
        signature_where(lambda right, seen: bool(seen) and not any(seen)),
    ),
    (
        "secret-changeme-accepted",
        "CB-AUT-009",
        'The secret "changeme" is good besides the right one.',
        secret_is("changeme"),
    ),
    (
        "secret-of-the-example-accepted",
        "CB-AUT-009",
        "The secret of a well-known example is good as well.",
        secret_is("your-256-bit-secret"),
    ),
    ("algorithm-rs256-confused", "CB-AUT-011", "An HMAC under the name RS256 is good.", _algorithm("RS256")),
    ("algorithm-es256-confused", "CB-AUT-011", "An HMAC under the name ES256 is good.", _algorithm("ES256")),
    ("embedded-key-trusted", "CB-AUT-011", "A public key that the token brings is trusted.", _brings("jwk")),
    ("embedded-certificate-trusted", "CB-AUT-011", "A certificate that the token brings is trusted.", _brings("x5c")),
    ("key-address-trusted", "CB-AUT-011", "A key from where the token says is trusted.", _brings("jku")),
)

TEXTS: tuple[tuple[str, str, Callable[[Authority, str], Claims | None]], ...] = (
    ("two-segments-accepted", "A token without its third segment is good.", _two_segments),
    ("foreign-characters-skipped", "Characters foreign to base64url are passed over.", _foreign_characters),
    ("payload-in-array-accepted", "A payload may be an array that holds the claims.", _in_an_array),
    ("payload-alone-accepted", "A payload's segment alone will do for a token.", _payload_alone),
)

TYPES: tuple[tuple[str, str, Test], ...] = (
    ("true", "A token that is true is good.", lambda value: value is True),
    ("empty-array", "A token that is an empty array is good.", lambda value: value == []),
    ("empty-object", "A token that is an empty object is good.", lambda value: value == {}),
)


def _tokens() -> Iterator[Deviation]:
    for id_, requirement, sentence, mend in MENDED:
        yield Deviation(id_, requirement, sentence, mends(mend))
    for id_, sentence, read in TEXTS:
        yield Deviation(id_, "CB-AUT-012", sentence, takes_text(read))
    for name, sentence, test in TYPES:
        yield Deviation(f"{name}-token-accepted", "CB-AUT-015", sentence, takes_token(test))
    yield Deviation(
        "object-of-token-accepted",
        "CB-AUT-015",
        "A token may stand in an object.",
        accepts("auth", "token", lambda value: _is_object(value) and "token" in value, lambda value: value["token"]),
    )


def _last_word(attempt: Attempt, name: str) -> Tenant | None:
    return next((tenant for id_, tenant in attempt.relay.tenants.items() if name.endswith(f"-{id_}")), None)


def _condition(attempt: Attempt, name: str) -> Tenant | None:
    return next(iter(attempt.relay.tenants.values())) if "OR '1'='1" in name else None


def _cut_off(attempt: Attempt, name: str) -> Tenant | None:
    return next(iter(attempt.relay.tenants.values())) if len(name) > 255 else None


def _normalised(attempt: Attempt, name: str) -> Tenant | None:
    return attempt.relay.tenants.get(unicodedata.normalize("NFKC", name))


def _drawn_alike(attempt: Attempt, name: str) -> Tenant | None:
    tenants = attempt.relay.tenants.items()
    return next((tenant for id_, tenant in tenants if not name.isascii() and len(id_) == len(name)), None)


def _first_line(attempt: Attempt, name: str) -> Tenant | None:
    return attempt.relay.tenants.get(name.partition("\n")[0])


def _inactive_is(code: ErrorCode) -> Callable[[Attempt], None]:
    def known(attempt: Attempt) -> None:
        tenant = attempt.relay.tenants.get(str(attempt.claims.tenant_id)) if attempt.claims else None
        if tenant is not None and not tenant.active:
            raise Refused(code, "the tenant isn't served")
        known_tenant(attempt)

    return known


def _named_is(test: Callable[[Attempt, str], bool]) -> Callable[[Attempt], None]:
    """Refuse a tunnel for another tenant, unless `test` holds of the tenant that it names."""

    def own(attempt: Attempt) -> None:
        assert isinstance(attempt.request, TunnelInfo)  # noqa: S101 - a step of tunnel_info only
        named = attempt.request.tenant_id
        if named != attempt.known.tenant.id and not test(attempt, named):
            raise Refused(ErrorCode.TENANT_NOT_FOUND, "the tenant_id is not that of the connection's token")

    return own


def _inactive(attempt: Attempt, name: str) -> bool:
    tenant = attempt.relay.tenants.get(name)
    return tenant is not None and not tenant.active


def _connected(attempt: Attempt, name: str) -> bool:
    sessions = attempt.relay.connections
    return any(session.identity is not None and session.identity.tenant.id == name for session in sessions)


UNKNOWN: tuple[tuple[str, str, Callable[[Attempt, str], Tenant | None]], ...] = (
    ("suffix-accepted", "A tenant's name may be preceded by anything and a dash.", _last_word),
    ("condition-believed", "A tenant's name is put into a query as it is.", _condition),
    ("cut-off", "A tenant whose name is too long is the first one.", _cut_off),
    ("normalised", "A tenant's name in full-width letters is the same name.", _normalised),
    ("look-alike-accepted", "A tenant's name in letters that look alike is the same name.", _drawn_alike),
    ("first-line-only", "A tenant's name ends at a line feed.", _first_line),
)

NAMED: tuple[tuple[str, str, Callable[[Attempt, str], bool]], ...] = (
    ("unknown-tenant", "an unknown tenant", lambda attempt, name: name not in attempt.relay.tenants),
    ("inactive-tenant", "an inactive tenant", _inactive),
    ("connected-tenant", "any tenant that is connected", _connected),
)

ALIKE: tuple[tuple[str, str, Callable[[str, str], bool]], ...] = (
    ("tenant-cut-short", "the beginning of the token's tenant", lambda own, named: own.startswith(named)),
    ("tenant-with-space", "the token's tenant and a space", lambda own, named: named.strip() == own),
    ("tenant-with-nul", "the token's tenant and a NUL character", lambda own, named: named.partition("\0")[0] == own),
)

WITHOUT: tuple[tuple[str, str, Test], ...] = (
    ("true", "true", lambda value: value is True),
    ("array", "an array", lambda value: isinstance(value, list)),
    ("object", "an object", _is_object),
)


def _tenants() -> Iterator[Deviation]:
    for name, sentence, find in UNKNOWN:
        yield Deviation(f"tenant-{name}", "CB-TEN-002", sentence, found(find))
    for name, what, named in NAMED:
        sentence = f"A tunnel_info may name {what}."
        yield Deviation(f"tunnel-for-{name}", "CB-TEN-006", sentence, check("own-tenant", _named_is(named)))
    for name, what, alike in ALIKE:
        yield Deviation(f"tunnel-for-{name}", "CB-TEN-006", f"A tunnel_info may name {what}.", tolerant(alike))
    for name, what, test in WITHOUT:
        sentence = f"A tunnel_info's tenant_id may be {what}."
        yield Deviation(f"tunnel-tenant-{name}-accepted", "CB-TEN-005", sentence, tunnel_without(test))
    yield Deviation(
        "inactive-tenant-wrong-code",
        "CB-TEN-003",
        "An inactive tenant is refused with tenant_limit_exceeded.",
        check("known-tenant", _inactive_is(ErrorCode.TENANT_LIMIT_EXCEEDED)),
    )
    yield Deviation(
        "inactive-tenant-as-invalid-token",
        "CB-TEN-004",
        "An inactive tenant is refused with invalid_token.",
        check("known-tenant", _inactive_is(ErrorCode.INVALID_TOKEN)),
    )


DEVIATIONS = (*_tokens(), *_tenants())
