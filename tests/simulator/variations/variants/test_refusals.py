"""The same refusals with another code."""

from __future__ import annotations

import pytest

from cbspec_simulator.variations.variants import refusals
from tests.simulator.variations.deviations.probe import Probe, asking, authenticating, met
from tests.simulator.variations.variants.probe import show
from tests.support.memory import BEAT, Body, MemoryRelay, auth, tunnel

_UNKNOWN = "unknown_message_type"
_BAD_HELLO: Body = {"type": "hello", "features": ["tls"]}
_CODES = (
    "invalid_token",
    "rate_limit_exceeded",
    "connection_limit_reached",
    "server_unavailable",
    "invalid_tunnel_info",
    "tenant_limit_exceeded",
    "tenant_not_found",
    "ip_not_allowed",
    "buffer_pool_exhausted",
    "data_transfer_failed",
)


def _malformed(memory: MemoryRelay) -> list[str]:
    return [*asking(b"{'type':'heartbeat'}\n")(memory), *asking(b'{"type":"\xff"}\n')(memory), *asking(b"{}\n")(memory)]


def _first(body: Body) -> Probe:
    return Probe(lambda memory: met(memory.client(), body), [_UNKNOWN], [_UNKNOWN])


PROBES = {
    **{
        f"malformed-as-{code.replace('_', '-')}": Probe(_malformed, [_UNKNOWN] * 3, [code, code, _UNKNOWN])
        for code in _CODES
    },
    "bad-hello-as-invalid-token": _first(_BAD_HELLO)._replace(wrong=["invalid_token"]),
    "bad-hello-as-server-unavailable": _first(_BAD_HELLO)._replace(wrong=["server_unavailable"]),
    "early-message-as-invalid-token": _first(BEAT)._replace(wrong=["invalid_token"]),
    "no-tenant-as-tenant-not-found": Probe(authenticating(auth(None)), ["invalid_token"], ["tenant_not_found"]),
    "tunnel-without-tenant-as-tenant-not-found": Probe(
        asking(tunnel(tenant_id=...)), ["invalid_tunnel_info"], ["tenant_not_found"]
    ),
}


@pytest.mark.parametrize("id_", PROBES)
def test_it_shows(id_: str) -> None:
    show(PROBES, id_)


def test_each_is_shown() -> None:
    assert {variant.id for variant in refusals.VARIANTS} == set(PROBES)
