"""Forgeries: tokens that differ from a valid one in the way that their sentence describes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import Enum
from typing import Final

from cbspec.tokens import foreign_keys as foreign
from cbspec.tokens.jws import CompactJws, RawNumber, dump, encode
from cbspec.tokens.jwt import SigningKey, mint

_ATTEMPTS: Final = 10_000  # at a signature that begins with a NUL byte, as one in 256 does
_ELEVEN_MINUTES: Final = 11 * 60
_DAY: Final = 24 * 60 * 60
_GUESSES: Final = ("secret", "changeme", "your-256-bit-secret")  # secrets of examples and forgotten configurations
_SAMPLES: Final = {  # by name: more secrets of documents, and keys that are no secrets
    "empty": "",
    "space": " ",
    "password": "password",
    "test": "test",
    "jwt-io": "a-string-secret-at-least-256-bits-long",
    "shhhhh": "shhhhh",
    "your-jwt-secret": "your_jwt_secret",
    "super-secret": "super-secret",
    "all-your-base": "AllYourBase",
    "keyboard-cat": "keyboard cat",
    "null": "null",
    "undefined": "undefined",
    "cloudbridge": "cloudbridge",
    "123456": "123456",
    "mysecret": "mysecret",
    "jwtsecret": "jwtsecret",
    "admin": "admin",
    "zero-bytes": "\0" * 32,
}
KNOWN_SECRETS: Final = (*_GUESSES, *_SAMPLES.values())
"""Secrets that anyone can know."""

_NAMES: Final[Mapping[str, str]] = {"iss": "issuer", "aud": "audience", "sub": "subject", "tenant_id": "tenant"}
_PUBLIC: Final = {  # by the end of a forgery's name: a form of a public key
    "pem": "PEM",
    "pem-without-line-feed": "PEM without line feed",
    "der": "DER",
    "raw": "raw bytes",
    "jwk": "JWK",
    "base64": "base64 DER",
}
_SPELLINGS: Final = {"lower": "none", "capital": "None", "upper": "NONE", "mixed": "nOnE"}
_INHERITED: Final = {  # properties of every object in JavaScript
    "constructor": "constructor",
    "to-string": "toString",
    "has-own": "hasOwnProperty",
    "proto": "__proto__",
}


class Missing(Enum):
    """The type of `MISSING`, which distinguishes it from JSON values."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""Stands for the absence of the member `token`, or of a claim."""


@dataclass(frozen=True, slots=True)
class Materials:
    """The data from which forgeries are made.

    `valid` is a token that the relay accepts, with the claims `claims`, the signing key `key` (None: unknown) and the
    header members `headers` other than algorithm and type. `now` is in seconds since the epoch. `fresh` is a unique
    text. `other_tenant` is a second tenant that the relay knows (empty: none). `certificate` is that of the relay's TLS
    in DER (empty: unknown). `doubt` are seconds by which the relay's clock may differ.
    """

    valid: str = field(repr=False)
    key: SigningKey | None
    claims: Mapping[str, object] = field(repr=False)
    now: float
    tenant_id: str
    fresh: str
    other_tenant: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    certificate: bytes = field(default=b"", repr=False)
    doubt: float = 0.0

    @property
    def held(self) -> SigningKey:
        """The signing key. Raises ValueError if it is unknown."""
        if self.key is None:
            raise ValueError("this forgery needs the signing key")
        return self.key

    @property
    def parts(self) -> CompactJws:
        """The decoded segments of the valid token. Raises ValueError."""
        return CompactJws.split(self.valid)

    @property
    def segments(self) -> list[str]:
        """The encoded segments of the valid token. Raises ValueError if there aren't three."""
        _ = self.parts
        return self.valid.split(".")

    def in_seconds(self, seconds: float) -> float:
        """Return a time relative to now, which is rounded down to whole seconds, as most issuers do."""
        return int(self.now) + seconds

    def remint(self, changes: Mapping[str, object]) -> str:
        """Return a new token with some claims changed, or omitted if `MISSING`."""
        claims = {name: value for name, value in {**self.claims, **changes}.items() if value is not MISSING}
        return mint(self.held, claims, self.headers)


_NO_ALGORITHMS: Final[Mapping[str, tuple[str, object]]] = {
    "missing": ("missing", MISSING),
    "null": ("null", None),
    "blank": ("empty", ""),
    "unknown": ("unknown", "XS256"),
}

Make = Callable[[Materials], object]
"""Returns the value of the member `token`: text, another JSON value, or `MISSING`."""

Changes = Callable[[Materials], Mapping[str, object]]
"""Returns the new values of claims."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A token that is invalid in one way, and the requirement that demands its refusal.

    With `needs_key`, a valid token isn't enough; the profile's ready-made token for `purpose`, if any, can replace the
    forgery. With `needs_other_tenant`, a second tenant is needed; with `needs_certificate`, the relay's certificate;
    with `needs_key_pair`, a key with a public half. `also` are the codes other than invalid_token that a
    relay may answer, because more than one thing is wrong.
    """

    requirement: str
    name: str
    sentence: str
    make: Make = field(repr=False)
    needs_key: bool = False
    needs_other_tenant: bool = False
    needs_certificate: bool = False
    needs_key_pair: bool = False
    purpose: str | None = None
    also: tuple[str, ...] = ()


def with_claims(changes: Changes) -> Make:
    """Change claims and sign them with the right key."""
    return lambda m: m.remint(changes(m))


def with_tenant(name: Make) -> Make:
    """Change the tenant and sign with the right key."""
    return with_claims(lambda m: {"tenant_id": name(m)})


def changed(changes: Changes) -> Make:
    """Change claims and keep the signature."""
    return lambda m: str(replace(m.parts, payload=dump({**m.parts.claims, **changes(m)})))


def signature(change: Callable[[bytes], bytes]) -> Make:
    """Change only the signature."""
    return lambda m: str(replace(m.parts, signature=change(m.parts.signature)))


def _changed_after_nul(m: Materials) -> str:
    """Change all bytes but the first of a signature; that of an HMAC begins with NUL, where C ends a text."""
    for number in range(_ATTEMPTS):
        token = CompactJws.split(m.remint({"jti": f"{m.fresh}-{number}"}))
        if token.signature[0] == 0 or not m.held.symmetric:
            break
    return str(replace(token, signature=token.signature[:1] + bytes(byte ^ 0xFF for byte in token.signature[1:])))


def algorithm_none(spelling: str, *, keep_signature: bool) -> Make:
    """Name the algorithm "none" in the header (Source: RFC 7518, 3.6)."""

    def make(m: Materials) -> str:
        header = dump({**m.parts.headers, "alg": spelling})
        return str(replace(m.parts, header=header, signature=m.parts.signature if keep_signature else b""))

    return make


def _unsigned(algorithm: object) -> Make:
    """Replace the algorithm in the header, or omit it if `MISSING`, and remove the signature."""

    def make(m: Materials) -> str:
        header = {name: value for name, value in {**m.parts.headers, "alg": algorithm}.items() if value is not MISSING}
        return str(replace(m.parts, header=dump(header), signature=b""))

    return make


def with_payload(data: Callable[[bytes], bytes]) -> Make:
    """Replace the payload by a value that isn't a set of claims, signed if the key is known."""

    def make(m: Materials) -> str:
        sign = m.key.sign if m.key is not None else lambda _: m.parts.signature
        return str(CompactJws.signed(m.parts.headers, data(m.parts.payload), sign))

    return make


def flip(signature: bytes, index: int) -> bytes:
    """Invert the lowest bit of one byte."""
    flipped = bytearray(signature)
    flipped[index] ^= 0x01
    return bytes(flipped)


def look_alike(name: str) -> str:
    """Replace letters by Cyrillic ones of the same shape, or else append a zero-width space."""
    cyrillic = name.translate(str.maketrans("aeopcxyi", "аеорсхуі"))
    return cyrillic if cyrillic != name else name + "\u200b"


def first_half(name: str) -> str:
    """Return the first half of a name, since a longer part could be a name of its own, "site-1" of "site-10".

    A name that is too short is extended.
    """
    return name[: len(name) // 2] or f"{name}-cbspec"


def _expires(seconds: float) -> Make:
    return with_claims(lambda m: {"exp": m.in_seconds(seconds - int(m.doubt))})


def _begins(seconds: float) -> Make:
    return with_claims(lambda m: {"nbf": m.in_seconds(seconds + int(m.doubt))})


def _number(claim: str, text: str) -> Make:
    return with_claims(lambda _: {claim: RawNumber(text)})


def _wrapped(claim: str, seconds: int, bits: int) -> Make:
    """Set a time that is `seconds` from now for a relay that keeps so many bits of it, and an age away."""
    return with_claims(lambda m: {claim: int(m.in_seconds(seconds)) + (2**bits if claim == "nbf" else -(2**bits))})


def _signed_by_name(claim: str) -> Make:
    def make(m: Materials) -> str:
        valid = CompactJws.split(m.remint({claim: m.claims.get(claim, f"cbspec-{claim}")}))
        return foreign.sign_by_known(m.held, valid, str(valid.claims[claim]).encode())

    return make


def _signed_by_key_id(m: Materials) -> str:
    name = str(m.headers.get("kid") or f"cbspec-{m.fresh}")
    return foreign.sign_by_known(m.held, foreign.with_headers(m.parts, kid=name), name.encode())


def _signed_by_guess(guess: str) -> Make:
    return lambda m: foreign.sign_by_guess(m.held, m.parts, guess)


def _always(value: object) -> Make:
    return lambda _: value


def _brings(what: str) -> str:
    return f"The token is signed by a key of ours, and its header {what}."


_LONG_PAST: Final = {
    "minus-one": "-1",
    "minus-2-31": str(-(2**31) - 1),
    "minus-2-63": str(-(2**63) - 1),
    "minus-zero": "-0.0",
    "half-a-second": "0.5",
    "an-exponent": "1e3",
    "1e-400": "1e-400",
    "minus-1e309": "-1e309",
}
_FAR_AHEAD: Final = {
    "2-32": str(2**32),
    "2-53": str(2**53 + 1),
    "2-63": str(2**63),
    "2-64": str(2**64),
    "1e18": "1e18",
    "1e309": "1e309",
}
_CERTIFICATE: Final = {
    f"certificate-{name}": f"certificate {form}"
    for name, form in {
        **{name: _PUBLIC[name] for name in ("pem", "pem-without-line-feed", "der")},
        "x5c": "x5c",
    }.items()
}
_Rows = Mapping[str, tuple[str, Make]]  # by name: sentence and function

_TENANTS: Final[_Rows] = {  # the function returns the name
    "new": ("new", lambda m: f"unknown-{m.fresh}"),
    "suffix": ("a known one with a suffix", lambda m: f"{m.tenant_id}-{m.fresh}"),
    "prefix": ("a known one with a prefix", lambda m: f"{m.fresh}-{m.tenant_id}"),
    "space": ("a known one and a space", lambda m: f"{m.tenant_id} "),
    "line-feed": ("a known one and a line feed", lambda m: f"{m.tenant_id}\n"),
    "nul": ("a known one and a NUL character", lambda m: f"{m.tenant_id}\0"),
    "path": ("a path that ends in a known one", lambda m: f"../{m.tenant_id}"),
    "path-here": ("a known one after ./", lambda m: f"./{m.tenant_id}"),
    "path-about": ("a known one after x/../", lambda m: f"x/../{m.tenant_id}"),
    "path-beside": ("a known one after ../x/", lambda m: f"../x/{m.tenant_id}"),
    "beginning": ("the beginning of a known one", lambda m: first_half(m.tenant_id)),
    **{f"inherited-{end}": (f"{name}, as in JavaScript", _always(name)) for end, name in _INHERITED.items()},
    "underscore": ("a known one with an underscore for its last letter", lambda m: m.tenant_id[:-1] + "_"),
    "dot": ("a known one with a dot for its last letter", lambda m: m.tenant_id[:-1] + "."),
    "question-mark": ("a known one with a question mark for its last letter", lambda m: m.tenant_id[:-1] + "?"),
    "percent-encoded": (
        "a known one with its last letter percent-encoded",
        lambda m: m.tenant_id[:-1] + "".join(f"%{byte:02X}" for byte in m.tenant_id[-1].encode()),
    ),
    "list": ("a list of a known one and another", lambda m: f"{m.tenant_id},{m.fresh}"),
    "slash": ("a known one and a slash", lambda m: f"{m.tenant_id}/"),
    "quoted": ("a known one in quotation marks", lambda m: f'"{m.tenant_id}"'),
    "star": ("an asterisk", _always("*")),
    "percent": ("a per cent sign", _always("%")),
    "quote": ("a condition in SQL", _always("' OR '1'='1")),
    "long": ("512 characters long", lambda m: m.fresh.ljust(512, "x")),
    "full-width": (
        "a known one with a full-width first letter",
        lambda m: chr(ord(m.tenant_id[0]) + 0xFEE0) + m.tenant_id[1:],
    ),
    "look-alike": ("a known one in look-alike letters", lambda m: look_alike(m.tenant_id)),
}
_TABLE: Final[Mapping[str, _Rows]] = {
    "CB-AUT-005": {
        "expired-11-minutes": ("The token expired eleven minutes ago.", _expires(-_ELEVEN_MINUTES)),
        "expired-a-day": ("The token expired a day ago.", _expires(-_DAY)),
        "expired-a-fraction": ("The token expired 690.5 seconds ago.", _expires(-_ELEVEN_MINUTES - 30.5)),
        "expired-at-zero": ("The token expired at the time 0, in 1970.", with_claims(lambda _: {"exp": 0})),
        **{
            f"expired-at-{name}": (f"The token expired at the time {text}.", _number("exp", text))
            for name, text in _LONG_PAST.items()
        },
        **{
            f"expired-wrapped-{bits}": (
                f"The token expired an age ago, at a time that differs from the right one by 2^{bits} seconds.",
                _wrapped("exp", 3600, bits),
            )
            for bits in (32, 64)
        },
    },
    "CB-AUT-006": {
        "early-11-minutes": ("The token becomes valid in eleven minutes.", _begins(_ELEVEN_MINUTES)),
        "early-a-day": ("The token becomes valid in a day.", _begins(_DAY)),
        "early-a-fraction": ("The token becomes valid in 690.5 seconds.", _begins(_ELEVEN_MINUTES + 30.5)),
        **{
            f"early-{name}": (f"The token becomes valid at the time {text}.", _number("nbf", text))
            for name, text in _FAR_AHEAD.items()
        },
        **{
            f"early-wrapped-{bits}": (
                f"The token becomes valid in an age, at a time that differs from the right one by 2^{bits} seconds.",
                _wrapped("nbf", -60, bits),
            )
            for bits in (32, 64)
        },
    },
    "CB-AUT-007": {
        "payload-other-subject": (
            "The subject was changed after signing.",
            changed(lambda m: {"sub": f"other-{m.fresh}"}),
        ),
        "payload-other-tenant": (
            "The tenant was changed to another after signing.",
            changed(lambda m: {"tenant_id": m.other_tenant}),
        ),
        "payload-longer-life": (
            "The expiry was postponed after signing.",
            changed(lambda m: {"exp": m.in_seconds(2 * _DAY)}),
        ),
        "payload-claim-added": ("A claim was added after signing.", changed(lambda m: {"added": m.fresh})),
        "payload-space-appended": (
            "A space was appended to the payload after signing, which changes its bytes and not its meaning.",
            lambda m: str(replace(m.parts, payload=m.parts.payload + b" ")),
        ),
    },
    "CB-AUT-008": {
        "signature-first-byte": ("A bit of the signature's first byte is flipped.", signature(lambda s: flip(s, 0))),
        "signature-last-byte": ("A bit of the signature's last byte is flipped.", signature(lambda s: flip(s, -1))),
        "signature-truncated": ("The signature lacks its last byte.", signature(lambda s: s[:-1])),
        "signature-halved": ("The signature lacks its second half.", signature(lambda s: s[: len(s) // 2])),
        "signature-extended": ("The signature has an extra byte.", signature(lambda s: s + b"\0")),
        "signature-zeroed": ("The signature is all zero bytes.", signature(lambda s: bytes(len(s)))),
        "signature-removed": ("The third segment is empty.", signature(lambda _: b"")),
        "signature-after-nul": (
            "The signature begins with a NUL byte (if it is an HMAC), and all its other bytes are changed.",
            _changed_after_nul,
        ),
        "signature-of-another-token": (
            "The signature is that of another valid token.",
            lambda m: str(replace(m.parts, signature=CompactJws.split(m.remint({"jti": f"x-{m.fresh}"})).signature)),
        ),
    },
    "CB-AUT-009": {
        "another-key": (
            "The token is signed with the right algorithm and a random key.",
            lambda m: foreign.sign_alike(m.parts, m.fresh),
        ),
        **{
            f"guessed-{guess}": (
                f'The token is signed with the secret "{guess}" (if the algorithm needs one: with another key pair).',
                _signed_by_guess(guess),
            )
            for guess in _GUESSES
        },
        **{
            f"known-{name}": (
                f"The token is signed with the secret {json.dumps(text)}.",
                lambda m, text=text: foreign.sign_by_known(m.held, m.parts, text.encode()),  # type: ignore[misc]
            )
            for name, text in _SAMPLES.items()
        },
        **{
            f"known-{name}": (f"The token is signed with its own {name}'s name as the secret.", _signed_by_name(claim))
            for claim, name in _NAMES.items()
        },
        "known-key-id": ("The token is signed with its own key id (kid) as the secret.", _signed_by_key_id),
    },
    "CB-AUT-010": {
        f"none-{style}-{what}": (
            f'The header names the algorithm "{spelling}" and the signature is {what}.',
            algorithm_none(spelling, keep_signature=what == "kept"),
        )
        for style, spelling in _SPELLINGS.items()
        for what in ("empty", "kept")
    }
    | {
        f"none-{name}": (f"The header's algorithm is {what}, and the signature is empty.", _unsigned(value))
        for name, (what, value) in _NO_ALGORITHMS.items()
    },
    "CB-AUT-011": {
        "public-key-as-secret": (
            "The header names RS256 for an HMAC with the secret, or HS256 for an HMAC with the public key.",
            lambda m: foreign.confuse(m.held, m.parts),
        ),
        **{
            f"public-key-{name}-as-secret": (
                f"The token is an HMAC (HS256) with the public key of the relay's token key, as {form}.",
                lambda m, form=form: foreign.sign_by_public_key(m.held, m.parts, form),  # type: ignore[misc]
            )
            for name, form in _PUBLIC.items()
            if name != "pem"
        },
        "algorithm-renamed": (
            "The header names ES256 (or EdDSA, if the key is for ES256) for the signature of the right key.",
            lambda m: foreign.rename(m.held, m.parts),
        ),
        "brings-public-key": (_brings("contains the public key (jwk)"), lambda m: foreign.with_public_key(m.parts)),
        "brings-secret": (_brings("contains the secret (jwk)"), lambda m: foreign.with_secret(m.parts, m.fresh)),
        "brings-certificate": (_brings("contains a certificate (x5c)"), lambda m: foreign.with_certificate(m.parts)),
        "brings-key-address": (_brings("names the key's URL (jku)"), lambda m: foreign.with_key_address(m.parts)),
        "brings-key-path": (_brings("has the path of an empty file (kid)"), lambda m: foreign.with_key_path(m.parts)),
    },
    "CB-AUT-012": {
        "plain-text": ("The token is plain text.", lambda m: f"not-a-token-{m.fresh}"),
        "blank": ("The token is a space.", lambda _: " "),
        "dots": ("The token is three empty segments.", lambda _: ".."),
        "two-segments": ("The third segment is missing.", lambda m: ".".join(m.segments[:2])),
        "four-segments": ("There is a fourth segment.", lambda m: ".".join([*m.segments, "AAAA"])),
        "not-base64": (
            "Payload and signature begin with a character that base64url lacks.",
            lambda m: ".!".join(m.segments),
        ),
        "header-cut": ("The header is incomplete JSON.", lambda m: str(replace(m.parts, header=m.parts.header[:-1]))),
        "payload-cut": ("The payload is incomplete JSON.", with_payload(lambda payload: payload[:-1])),
        "payload-array": ("The payload is an array.", with_payload(lambda payload: b"[" + payload + b"]")),
        "claims-as-text": ("The token is the claims as JSON text.", lambda m: json.dumps(dict(m.claims))),
        "claims-encoded": ("The token is the segment of a payload.", lambda m: encode(dump(m.claims))),
    },
    "CB-AUT-013": {"empty": ("The token is empty.", lambda _: "")},
    "CB-AUT-014": {"missing": ("The token is missing.", lambda _: MISSING)},
    "CB-AUT-015": {
        "type-number": ("The token is a number.", lambda _: 12345),
        "type-null": ("The token is null.", lambda _: None),
        "type-true": ("The token is true.", lambda _: True),
        "type-array": ("The token is an empty array.", lambda _: []),
        "type-array-of-token": ("The token is an array that contains a valid token.", lambda m: [m.valid]),
        "type-object": ("The token is an empty object.", lambda _: {}),
        "type-object-of-token": ("The token is an object that contains a valid token.", lambda m: {"token": m.valid}),
    },
    "CB-AUT-018": {
        f"tls-{'' if form.startswith('certificate') else 'public-key-'}{name}-as-secret": (
            f"The token is an HMAC (HS256) with the {what} of the relay's TLS, as {form.removeprefix('certificate ')}.",
            lambda m, form=form: foreign.sign_by_certificate(m.certificate, m.parts, form),  # type: ignore[misc]
        )
        for what, forms in (("public key", _PUBLIC), ("certificate", _CERTIFICATE))
        for name, form in forms.items()
    },
    "CB-TEN-001": {
        "tenant-missing": ("The token's tenant is missing.", with_tenant(lambda _: MISSING)),
        "tenant-null": ("The token's tenant is null.", with_tenant(lambda _: None)),
        "tenant-empty": ("The token's tenant is empty.", with_tenant(lambda _: "")),
        "tenant-in-array": ("The token's tenant is a known one in an array.", with_tenant(lambda m: [m.tenant_id])),
        "tenant-in-object": (
            "The token's tenant is a known one in an object.",
            with_tenant(lambda m: {"id": m.tenant_id}),
        ),
    },
    "CB-TEN-002": {
        f"tenant-{name}": (f"The token's tenant is {what}.", with_tenant(make))
        for name, (what, make) in _TENANTS.items()
    },
}
_NEEDS_KEY: Final = {"CB-AUT-005", "CB-AUT-006", "CB-TEN-001", "CB-TEN-002"}
_KEY_PAIR: Final = {f"public-key-{name}-as-secret" for name in _PUBLIC if name != "pem"}
_NEEDS_KEY_ALSO: Final = {
    *_KEY_PAIR,
    *(f"known-{name}" for name in (*_SAMPLES, *_NAMES.values(), "key-id")),
    *("signature-after-nul", "signature-of-another-token", "public-key-as-secret", "algorithm-renamed"),
    *(f"guessed-{guess}" for guess in _GUESSES),
}
_PURPOSES: Final = {
    "expired-11-minutes": "expired",
    "early-11-minutes": "not_yet_valid",
    "another-key": "wrong_key",
    "tenant-missing": "no_tenant",
    "tenant-new": "unknown_tenant",
}

FORGERIES: Final[tuple[Forgery, ...]] = tuple(
    Forgery(
        requirement,
        name,
        sentence,
        make,
        needs_key=requirement in _NEEDS_KEY or name in _NEEDS_KEY_ALSO,
        needs_other_tenant=name == "payload-other-tenant",
        needs_certificate=requirement == "CB-AUT-018",
        needs_key_pair=name in _KEY_PAIR,
        purpose=_PURPOSES.get(name),
        also=("tenant_not_found",) if name == "payload-array" else (),  # an array has no tenant either
    )
    for requirement, rows in _TABLE.items()
    for name, (sentence, make) in rows.items()
)
"""Every forgery, in the order of the requirements."""

_NAMED: Final = {forgery.name: forgery for forgery in FORGERIES}


def by_requirement(requirement: str) -> tuple[Forgery, ...]:
    """Return the forgeries that a requirement demands to refuse."""
    return tuple(forgery for forgery in FORGERIES if forgery.requirement == requirement)


def by_name(name: str) -> Forgery:
    """Return the forgery with this name. Raises ValueError, with similar names."""
    if name not in _NAMED:
        near = get_close_matches(name, _NAMED, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "cbspec token --list-bad lists them"
        raise ValueError(f"no such kind; {hint}")
    return _NAMED[name]
