"""More tokens and tenants taken for good: which forgeries get in, and who may open tunnels for whom."""

from __future__ import annotations

import pytest

from cbspec.tokens.forgery import FORGERIES, MISSING
from tests.simulator.variations.deviations.probe import Look, Probe, asking, authenticating, enter, met, show
from tests.simulator.variations.deviations.test_tokens import MADE
from tests.support.memory import HELLO, NOW, MemoryRelay, auth, token, tunnel

_in, _opened = ["auth_response"], ["tunnel_response"]


def _let_in(memory: MemoryRelay) -> set[str]:
    """Return the names of all forgeries that the relay takes for good."""
    found = set()
    for forgery in FORGERIES:
        client = memory.client()
        client.send(HELLO)
        made = forgery.make(MADE)
        body = {"type": "auth"} if made is MISSING else {"type": "auth", "token": made}
        if "auth_response" in met(client, body):
            found.add(forgery.name)
    return found


LETS_THROUGH: dict[str, set[str]] = {
    "nbf-within-an-hour-ignored": {"early-11-minutes"},
    "nbf-far-off-ignored": {"early-a-day"},
    "signature-prefix-accepted": {"signature-truncated", "signature-halved"},
    "signature-extended-accepted": {"signature-extended"},
    "signature-last-byte-ignored": {"signature-last-byte"},
    "signature-first-byte-ignored": {"signature-first-byte"},
    "signature-zero-accepted": {"signature-zeroed"},
    "secret-changeme-accepted": {"guessed-changeme"},
    "secret-of-the-example-accepted": {"guessed-your-256-bit-secret"},
    "algorithm-rs256-confused": {"public-key-as-secret"},
    "algorithm-es256-confused": {"algorithm-renamed"},
    "embedded-key-trusted": {"brings-public-key"},
    "embedded-certificate-trusted": {"brings-certificate"},
    "key-address-trusted": {"brings-key-address"},
    "two-segments-accepted": {"two-segments"},
    "foreign-characters-skipped": {"not-base64"},
    "payload-in-array-accepted": {"payload-array"},
    "payload-alone-accepted": {"claims-encoded"},
    "true-token-accepted": {"type-true"},
    "empty-array-token-accepted": {"type-array"},
    "empty-object-token-accepted": {"type-object"},
    "object-of-token-accepted": {"type-object-of-token"},
    "tenant-suffix-accepted": {"tenant-prefix"},
    "tenant-condition-believed": {"tenant-quote"},
    "tenant-cut-off": {"tenant-long"},
    "tenant-normalised": {"tenant-full-width"},
    "tenant-first-line-only": {"tenant-line-feed"},
    "tenant-look-alike-accepted": {"tenant-full-width", "tenant-look-alike"},
}


def _naming(name: object) -> Look:
    return asking(tunnel(tenant_id=name))


def _naming_one_that_is_here(memory: MemoryRelay) -> list[str]:
    enter(memory, "b")
    return met(enter(memory), tunnel(tenant_id="b"))


_not_found = ["tenant_not_found"]
PROBES: dict[str, Probe] = {id_: Probe(_let_in, set(), names) for id_, names in LETS_THROUGH.items()} | {
    "inactive-tenant-wrong-code": Probe(authenticating(auth("asleep")), _not_found, ["tenant_limit_exceeded"]),
    "inactive-tenant-as-invalid-token": Probe(authenticating(auth("asleep")), _not_found, ["invalid_token"]),
    "tunnel-for-unknown-tenant": Probe(_naming("nobody"), _not_found, _opened),
    "tunnel-for-inactive-tenant": Probe(_naming("asleep"), _not_found, _opened),
    "tunnel-for-connected-tenant": Probe(_naming_one_that_is_here, _not_found, _opened),
    "tunnel-for-tenant-cut-short": Probe(asking(tunnel(tenant_id="tunnel"), "tunnels"), _not_found, _opened),
    "tunnel-for-tenant-with-space": Probe(_naming("a "), _not_found, _opened),
    "tunnel-for-tenant-with-nul": Probe(_naming("a\0"), _not_found, _opened),
    "tunnel-tenant-true-accepted": Probe(_naming(True), ["invalid_tunnel_info"], _opened),
    "tunnel-tenant-array-accepted": Probe(_naming(["a"]), ["invalid_tunnel_info"], _opened),
    "tunnel-tenant-object-accepted": Probe(_naming({}), ["invalid_tunnel_info"], _opened),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


def test_a_good_token_is_good_all_the_same() -> None:
    for id_ in PROBES:
        show({id_: Probe(authenticating({"type": "auth", "token": token(exp=NOW + 60)}), _in, _in)}, id_)
