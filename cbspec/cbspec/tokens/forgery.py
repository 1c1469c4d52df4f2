"""Every kind of bad token, made on purpose: each differs from a valid one in what its sentence says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cbspec.tokens import foreign_keys as outsiders
from cbspec.tokens.forging import MISSING as MISSING
from cbspec.tokens.forging import Forgery as Forgery
from cbspec.tokens.forging import (
    Make,
    algorithm_none,
    claims_changed,
    flip,
    look_alike,
    signature_changed,
    with_claims,
    with_payload,
    with_tenant,
)
from cbspec.tokens.forging import Materials as Materials
from cbspec.tokens.forging import Missing as Missing
from cbspec.tokens.jws import Compact, dump, encode

_ELEVEN_MINUTES: Final = 11 * 60
_DAY: Final = 24 * 60 * 60
_GUESSES: Final = ("secret", "changeme", "your-256-bit-secret")  # what examples and forgotten configurations hold
_INHERITED: Final = {  # end of the forgery's name, and the tenant's
    "constructor": "constructor", "to-string": "toString", "has-own": "hasOwnProperty", "proto": "__proto__",
}  # fmt: skip

_Row = tuple[str, str, Make]


def _time() -> Iterator[Forgery]:
    expired, early = "CB-AUT-005", "CB-AUT-006"
    rows: tuple[tuple[str, str, str, Make, str | None], ...] = (
        (
            expired,
            "expired-11-minutes",
            "expired eleven minutes ago",
            with_claims(lambda m: {"exp": m.in_seconds(-_ELEVEN_MINUTES)}),
            "expired",
        ),
        (expired, "expired-a-day", "expired a day ago", with_claims(lambda m: {"exp": m.in_seconds(-_DAY)}), None),
        (
            expired,
            "expired-a-fraction",
            "expired eleven and a half minutes ago, in fractions of a second",
            with_claims(lambda m: {"exp": m.in_seconds(-_ELEVEN_MINUTES - 30.5)}),
            None,
        ),
        (expired, "expired-at-zero", "expired at the time 0, in 1970", with_claims(lambda _: {"exp": 0}), None),
        (
            early,
            "early-11-minutes",
            "becomes valid in eleven minutes",
            with_claims(lambda m: {"nbf": m.in_seconds(_ELEVEN_MINUTES)}),
            "not_yet_valid",
        ),
        (early, "early-a-day", "becomes valid in a day", with_claims(lambda m: {"nbf": m.in_seconds(_DAY)}), None),
    )
    for requirement, name, what, make, purpose in rows:
        yield Forgery(requirement, name, f"The token {what}.", make, needs_key=True, purpose=purpose)


def _payload() -> Iterator[Forgery]:
    rows: tuple[_Row, ...] = (
        ("other-subject", "subject was changed", claims_changed(lambda m: {"sub": f"somebody-else-{m.fresh}"})),
        ("other-tenant", "tenant was changed to another", claims_changed(lambda m: {"tenant_id": m.other_tenant})),
        ("longer-life", "expiry was put off", claims_changed(lambda m: {"exp": m.in_seconds(2 * _DAY)})),
        ("claim-added", "claims were joined by another", claims_changed(lambda m: {"added": m.fresh})),
        (
            "space-appended",
            "payload got a space at its end, which changes its bytes and not its meaning,",
            lambda m: str(replace(m.parts, payload=m.parts.payload + b" ")),
        ),
    )
    for name, what, make in rows:
        other = name == "other-tenant"
        yield Forgery(
            "CB-AUT-007", f"payload-{name}", f"The token's {what} after signing.", make, needs_other_tenant=other
        )


def _signature() -> Iterator[Forgery]:
    rows: tuple[_Row, ...] = (
        ("first-byte", "A bit of the signature's first byte was flipped.", signature_changed(lambda s: flip(s, 0))),
        ("last-byte", "A bit of the signature's last byte was flipped.", signature_changed(lambda s: flip(s, -1))),
        ("truncated", "The signature lacks its last byte.", signature_changed(lambda s: s[:-1])),
        ("halved", "The signature lacks its second half.", signature_changed(lambda s: s[: len(s) // 2])),
        ("extended", "The signature has a byte more.", signature_changed(lambda s: s + b"\0")),
        ("zeroed", "The signature is all zero bytes.", signature_changed(lambda s: bytes(len(s)))),
        ("removed", "The third segment is empty.", signature_changed(lambda _: b"")),
    )
    for name, sentence, make in rows:
        yield Forgery("CB-AUT-008", f"signature-{name}", sentence, make)
    yield Forgery(
        "CB-AUT-008",
        "signature-of-another-token",
        "The signature is that of another valid token.",
        lambda m: str(replace(m.parts, signature=Compact.split(m.remint({"jti": f"another-{m.fresh}"})).signature)),
        needs_key=True,
    )


def _key() -> Iterator[Forgery]:
    yield Forgery(
        "CB-AUT-009",
        "another-key",
        "The token is signed by the right algorithm with a random key.",
        lambda m: outsiders.sign_alike(m.parts, m.fresh),
        purpose="wrong_key",
    )
    for guess in _GUESSES:
        yield Forgery(
            "CB-AUT-009",
            f"guessed-{guess}",
            f'The token is signed alike with the secret "{guess}" (instead of a key pair: with another).',
            lambda m, guess=guess: outsiders.sign_by_guess(m.held, m.parts, guess),  # type: ignore[misc]
            needs_key=True,
        )


def _none() -> Iterator[Forgery]:
    for style, spelling in (("lower", "none"), ("capital", "None"), ("upper", "NONE"), ("mixed", "nOnE")):
        for keep, what in ((False, "empty"), (True, "kept")):
            yield Forgery(
                "CB-AUT-010",
                f"none-{style}-{what}",
                f'The header names the algorithm "{spelling}" and the signature is {what}.',
                algorithm_none(spelling, keep_signature=keep),
            )


def _confusion() -> Iterator[Forgery]:
    held: tuple[_Row, ...] = (
        (
            "public-key-as-secret",
            "The header says RS256 over an HMAC with the secret; for a key pair, HS256 over one with the public key.",
            lambda m: outsiders.confuse(m.held, m.parts),
        ),
        (
            "algorithm-renamed",
            "The header says ES256 (for a key of that kind EdDSA) over the right key's signature.",
            lambda m: outsiders.rename(m.held, m.parts),
        ),
    )
    brought: tuple[_Row, ...] = (
        ("public-key", "brings the public key in its header (jwk)", lambda m: outsiders.with_public_key(m.parts)),
        ("secret", "brings the secret in its header (jwk)", lambda m: outsiders.with_secret(m.parts, m.fresh)),
        ("certificate", "brings a certificate in its header (x5c)", lambda m: outsiders.with_certificate(m.parts)),
        ("key-address", "says where the key is to be fetched (jku)", lambda m: outsiders.with_key_address(m.parts)),
        ("key-path", "has an empty file's path as its key id (kid)", lambda m: outsiders.with_key_path(m.parts)),
    )
    for name, sentence, make in held:
        yield Forgery("CB-AUT-011", name, sentence, make, needs_key=True)
    for name, what, make in brought:
        yield Forgery("CB-AUT-011", f"brings-{name}", f"The token, signed by a key of ours, {what}.", make)


def _no_jwt() -> Iterator[Forgery]:
    rows: tuple[_Row, ...] = (
        ("plain-text", "The token is plain text.", lambda m: f"not-a-token-{m.fresh}"),
        ("blank", "The token is a space.", lambda _: " "),
        ("dots", "The token is three empty segments.", lambda _: ".."),
        ("two-segments", "The third segment is cut off.", lambda m: ".".join(m.segments[:2])),
        ("four-segments", "There is a fourth segment.", lambda m: ".".join([*m.segments, "AAAA"])),
        (
            "not-base64",
            "Payload and signature begin with a character foreign to base64url.",
            lambda m: ".!".join(m.segments),
        ),
        ("header-cut", "The header is cut off JSON.", lambda m: str(replace(m.parts, header=m.parts.header[:-1]))),
        ("payload-cut", "The payload is cut off JSON.", with_payload(lambda payload: payload[:-1])),
        ("payload-array", "The payload is an array.", with_payload(lambda payload: b"[" + payload + b"]")),
        ("claims-as-text", "The token is the claims as JSON text.", lambda m: json.dumps(dict(m.claims))),
        ("claims-encoded", "The token is a payload's segment alone.", lambda m: encode(dump(m.claims))),
    )
    for name, sentence, make in rows:
        also = ("tenant_not_found",) if name == "payload-array" else ()  # what isn't an object names no tenant, either
        yield Forgery("CB-AUT-012", name, sentence, make, also=also)
    yield Forgery("CB-AUT-013", "empty", "The token is empty.", lambda _: "")
    yield Forgery("CB-AUT-014", "missing", "The token is left out.", lambda _: MISSING)


def _type() -> Iterator[Forgery]:
    rows: tuple[_Row, ...] = (
        ("number", "a number", lambda _: 12345),
        ("null", "null", lambda _: None),
        ("true", "true", lambda _: True),
        ("array", "an empty array", lambda _: []),
        ("array-of-token", "an array that holds a valid token", lambda m: [m.valid]),
        ("object", "an empty object", lambda _: {}),
        ("object-of-token", "an object that holds a valid token", lambda m: {"token": m.valid}),
    )
    for name, what, make in rows:
        yield Forgery("CB-AUT-015", f"type-{name}", f"The token is {what}.", make)


def _beginning(materials: Materials) -> str:
    """Return half of a known tenant's name: with less cut off it could be another one's, "site-1" of "site-10".

    What is too short to have a half is made longer instead.
    """
    name = materials.tenant_id
    return name[: len(name) // 2] or f"{name}-cbspec"


def _named(name: str) -> Make:
    return with_tenant(lambda _: name)


def _tenant() -> Iterator[Forgery]:
    none: tuple[_Row, ...] = (
        ("missing", "left out", with_tenant(lambda _: MISSING)),
        ("null", "null", with_tenant(lambda _: None)),
        ("empty", "empty", with_tenant(lambda _: "")),
        ("in-array", "a known one in an array", with_tenant(lambda m: [m.tenant_id])),
        ("in-object", "a known one in an object", with_tenant(lambda m: {"id": m.tenant_id})),
    )
    unknown: tuple[_Row, ...] = (
        ("new", "a name that nobody has used", with_tenant(lambda m: f"unknown-{m.fresh}")),
        ("suffix", "a known one with a suffix", with_tenant(lambda m: f"{m.tenant_id}-{m.fresh}")),
        ("prefix", "a known one with a prefix", with_tenant(lambda m: f"{m.fresh}-{m.tenant_id}")),
        ("space", "a known one and a space", with_tenant(lambda m: f"{m.tenant_id} ")),
        ("line-feed", "a known one and a line feed", with_tenant(lambda m: f"{m.tenant_id}\n")),
        ("nul", "a known one and a NUL character", with_tenant(lambda m: f"{m.tenant_id}\0")),
        ("path", "a path that ends in a known one", with_tenant(lambda m: f"../{m.tenant_id}")),
        ("path-here", "a path to a known one that goes nowhere", with_tenant(lambda m: f"./{m.tenant_id}")),
        ("path-about", "a path to a known one that goes out and in", with_tenant(lambda m: f"x/../{m.tenant_id}")),
        ("path-beside", "a path that leads out, then to a known one", with_tenant(lambda m: f"../x/{m.tenant_id}")),
        ("beginning", "the beginning of a known one", with_tenant(_beginning)),
        *(
            (f"inherited-{end}", "a name that every object in JavaScript has", _named(name))
            for end, name in _INHERITED.items()
        ),
        ("star", "an asterisk", with_tenant(lambda _: "*")),
        ("percent", "a per cent sign", with_tenant(lambda _: "%")),
        ("quote", "a condition in SQL", with_tenant(lambda _: "' OR '1'='1")),
        ("long", "512 characters long", with_tenant(lambda m: m.fresh.ljust(512, "x"))),
        (
            "full-width",
            "a known one whose first letter is full-width",
            with_tenant(lambda m: chr(ord(m.tenant_id[0]) + 0xFEE0) + m.tenant_id[1:]),
        ),
        ("look-alike", "a known one in look-alike letters", with_tenant(lambda m: look_alike(m.tenant_id))),
    )
    standing_in = {"missing": "no_tenant", "new": "unknown_tenant"}
    for requirement, rows in (("CB-TEN-001", none), ("CB-TEN-002", unknown)):
        for name, what, make in rows:
            sentence = f"The token's tenant is {what}."
            purpose = standing_in.get(name)
            yield Forgery(requirement, f"tenant-{name}", sentence, make, needs_key=True, purpose=purpose)


FORGERIES: Final[tuple[Forgery, ...]] = (
    *_time(),
    *_payload(),
    *_signature(),
    *_key(),
    *_none(),
    *_confusion(),
    *_no_jwt(),
    *_type(),
    *_tenant(),
)
"""Every forgery, in the order of the requirements."""


def by_requirement(requirement: str) -> tuple[Forgery, ...]:
    """Return the forgeries whose refusal a requirement demands."""
    return tuple(forgery for forgery in FORGERIES if forgery.requirement == requirement)
