"""Ways to be wrong about tokens: each takes one kind of bad token for good."""

from __future__ import annotations

from cbspec.tokens.jws import dump
from cbspec_simulator.variations.compose import accepts, missing
from cbspec_simulator.variations.deviations.kind import Deviation
from cbspec_simulator.variations.deviations.mends import (
    any_algorithm,
    any_text,
    covered,
    each_tenant,
    early_where,
    embedded_secret,
    fourth_segment,
    json_text,
    key_file,
    known_claims,
    late_where,
    mends,
    none_where,
    secret_is,
    signature_cache,
    signature_where,
    takes_text,
    takes_token,
)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _holds_token(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)


DEVIATIONS = (
    Deviation("expired-accepted", "CB-AUT-005", "An expiry is never looked at.", mends(late_where(lambda *_: True))),
    Deviation(
        "expired-within-an-hour-accepted",
        "CB-AUT-005",
        "A token is good for an hour after its expiry.",
        mends(late_where(lambda expires, now: now - expires < 3600)),
    ),
    Deviation(
        "expiry-fraction-ignored",
        "CB-AUT-005",
        "An expiry with a fraction is not looked at.",
        mends(late_where(lambda expires, _: expires != int(expires))),
    ),
    Deviation(
        "expiry-zero-ignored",
        "CB-AUT-005",
        "An expiry of 0 means never.",
        mends(late_where(lambda expires, _: expires == 0)),
    ),
    Deviation("nbf-ignored", "CB-AUT-006", "A token is good before its time.", mends(early_where(lambda *_: True))),
    Deviation(
        "payload-spelling-unsigned",
        "CB-AUT-007",
        "The signature is held against the claims written anew, not against the payload's own bytes.",
        mends(covered(lambda _, token: [dump(token.claims)])),
    ),
    Deviation(
        "unknown-claims-unsigned",
        "CB-AUT-007",
        "The signature needn't cover claims that the relay doesn't know.",
        mends(covered(known_claims)),
    ),
    Deviation("tenant-unsigned", "CB-AUT-007", "The signature needn't cover the tenant.", mends(covered(each_tenant))),
    Deviation(
        "signature-cached",
        "CB-AUT-007",
        "A signature that was good once is good for every payload.",
        signature_cache(),
    ),
    Deviation(
        "signature-unchecked",
        "CB-AUT-008",
        "The signature is not looked at; this lets changed payloads and wrong keys through as well.",
        mends(signature_where(lambda *_: True)),
    ),
    Deviation(
        "signature-first-half",
        "CB-AUT-008",
        "Only the first half of the signature is compared.",
        mends(signature_where(lambda right, seen: seen[: len(right) // 2] == right[: len(right) // 2])),
    ),
    Deviation(
        "signature-empty-accepted",
        "CB-AUT-008",
        "A token without a signature is good.",
        mends(signature_where(lambda _, seen: not seen)),
    ),
    Deviation(
        "weak-secret-accepted",
        "CB-AUT-009",
        'The secret "secret" is good besides the right one.',
        mends(secret_is("secret")),
    ),
    Deviation(
        "alg-none-accepted",
        "CB-AUT-010",
        'A token with algorithm "none", in any spelling, needs no signature.',
        mends(none_where(lambda *_: True)),
    ),
    Deviation(
        "alg-none-mixed-case-accepted",
        "CB-AUT-010",
        'Only the spelling "none" is refused, not "NONE" or "nOnE".',
        mends(none_where(lambda name, _: name != "none")),
    ),
    Deviation(
        "alg-none-with-signature-accepted",
        "CB-AUT-010",
        'A token with algorithm "none" is good if there is a signature, whatever it is.',
        mends(none_where(lambda _, signature: bool(signature))),
    ),
    Deviation(
        "algorithm-confusion",
        "CB-AUT-011",
        "The right key's signature is good whatever algorithm the header names.",
        mends(any_algorithm),
    ),
    Deviation(
        "embedded-secret-trusted",
        "CB-AUT-011",
        "The key that the token itself brings is used to verify it.",
        mends(embedded_secret),
    ),
    Deviation("key-id-is-a-path", "CB-AUT-011", "The key is read from the file that the token names.", mends(key_file)),
    Deviation("any-text-accepted", "CB-AUT-012", "Any text will do for a token.", takes_text(any_text)),
    Deviation(
        "json-claims-accepted", "CB-AUT-012", "The claims as JSON text will do for a token.", takes_text(json_text)
    ),
    Deviation(
        "fourth-segment-ignored", "CB-AUT-012", "What follows a token's third segment is ignored.", fourth_segment()
    ),
    Deviation("empty-token-accepted", "CB-AUT-013", "An empty token is good.", takes_token(lambda value: value == "")),
    Deviation("missing-token-accepted", "CB-AUT-014", "An auth without a token is good.", takes_token(missing)),
    Deviation("number-token-accepted", "CB-AUT-015", "A number is good for a token.", takes_token(_number)),
    Deviation(
        "null-token-accepted", "CB-AUT-015", "A token that is null is good.", takes_token(lambda value: value is None)
    ),
    Deviation(
        "array-of-token-accepted",
        "CB-AUT-015",
        "A token may stand in an array.",
        accepts("auth", "token", _holds_token, lambda value: value[0]),
    ),
)
