"""Every kind of bad token, by the forgeries that are made of one."""

from __future__ import annotations

import pytest

from cbspec.tokens.forgery import FORGERIES, MISSING, Materials
from cbspec_simulator import DEVIATIONS
from tests.simulator.variations.deviations.probe import Probe, authenticating, met, show
from tests.support.memory import HELLO, KEY, NOW, MemoryRelay, token

CLAIMS = {"sub": "user123", "tenant_id": "a", "exp": NOW + 60}
MADE = Materials(token(), KEY, CLAIMS, NOW, "a", "fresh", "b")

LETS_THROUGH: dict[str, set[str]] = {
    "expired-accepted": {"expired-11-minutes", "expired-a-day", "expired-a-fraction", "expired-at-zero"},
    "expired-within-an-hour-accepted": {"expired-11-minutes", "expired-a-fraction"},
    "expiry-fraction-ignored": {"expired-a-fraction"},
    "expiry-zero-ignored": {"expired-at-zero"},
    "nbf-ignored": {"early-11-minutes", "early-a-day"},
    "payload-spelling-unsigned": {"payload-space-appended"},
    "unknown-claims-unsigned": {"payload-claim-added", "payload-space-appended"},
    "tenant-unsigned": {"payload-other-tenant", "payload-space-appended"},
    "signature-first-half": {
        "signature-last-byte",
        "signature-truncated",
        "signature-halved",
        "signature-extended",
    },
    "signature-empty-accepted": {"signature-removed"},
    "weak-secret-accepted": {"guessed-secret"},
    "alg-none-accepted": {forgery.name for forgery in FORGERIES if forgery.requirement == "CB-AUT-010"},
    "alg-none-mixed-case-accepted": {
        forgery.name
        for forgery in FORGERIES
        if forgery.requirement == "CB-AUT-010" and forgery.name not in ("none-lower-empty", "none-lower-kept")
    },
    "alg-none-with-signature-accepted": {
        forgery.name for forgery in FORGERIES if forgery.requirement == "CB-AUT-010" and "kept" in forgery.name
    },
    "algorithm-confusion": {"public-key-as-secret", "algorithm-renamed"},
    "embedded-secret-trusted": {"brings-secret"},
    "key-id-is-a-path": {"brings-key-path"},
    "any-text-accepted": {"plain-text", "blank", "claims-encoded"},
    "json-claims-accepted": {"claims-as-text"},
    "fourth-segment-ignored": {"four-segments"},
    "empty-token-accepted": {"empty"},
    "missing-token-accepted": {"missing"},
    "number-token-accepted": {"type-number"},
    "null-token-accepted": {"type-null"},
    "array-of-token-accepted": {"type-array-of-token"},
}


def _accepted(memory: MemoryRelay) -> set[str]:
    """Return the names of the forgeries of tokens that the relay takes for good."""
    found = set()
    for forgery in FORGERIES:
        if not forgery.requirement.startswith("CB-AUT"):
            continue
        client = memory.client()
        client.send(HELLO)
        made = forgery.make(MADE)
        body = {"type": "auth"} if made is MISSING else {"type": "auth", "token": made}
        if "auth_response" in met(client, body):
            found.add(forgery.name)
    return found


def _seen_before(memory: MemoryRelay) -> set[str]:
    authenticating({"type": "auth", "token": MADE.valid})(memory)
    return _accepted(memory)


PROBES = {id_: Probe(_accepted, set(), names) for id_, names in LETS_THROUGH.items()}
PROBES["signature-unchecked"] = Probe(
    _accepted,
    set(),
    {
        forgery.name
        for forgery in FORGERIES
        if forgery.requirement in ("CB-AUT-007", "CB-AUT-008", "CB-AUT-009") or forgery.name == "brings-secret"
    }
    | {"brings-key-path"},
)
PROBES["signature-cached"] = Probe(
    _seen_before, set(), {forgery.name for forgery in FORGERIES if forgery.requirement == "CB-AUT-007"}
)


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


@pytest.mark.parametrize("id_", PROBES)
def test_a_good_token_is_good_all_the_same(id_: str) -> None:
    memory = MemoryRelay(change=DEVIATIONS[id_].change)
    assert authenticating({"type": "auth", "token": MADE.valid})(memory) == ["auth_response"]
