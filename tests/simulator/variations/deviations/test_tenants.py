"""Tenants, in tokens and in tunnel_infos."""

from __future__ import annotations

import pytest

from tests.simulator.variations.deviations.probe import Look, Probe, asking, authenticating, show
from tests.support.memory import auth, tunnel


def _of(tenant: object) -> Look:
    return authenticating(auth(tenant))


def _tunnel(tenant: object) -> Look:
    return asking(tunnel(tenant_id=tenant))


_in, _opened = ["auth_response"], ["tunnel_response"]
_nobody, _bad_token, _bad_tunnel = ["tenant_not_found"], ["invalid_token"], ["invalid_tunnel_info"]

PROBES = {
    "tenant-claim-missing-accepted": Probe(_of(None), _bad_token, _in),
    "tenant-claim-empty-accepted": Probe(_of(""), _bad_token, _in),
    "tenant-claim-in-array-accepted": Probe(_of(["a"]), _bad_token, _in),
    "unknown-tenant-accepted": Probe(_of("c"), _nobody, _in),
    "tenant-prefix-accepted": Probe(_of("a-new"), _nobody, _in),
    "tenant-trimmed": Probe(_of("a \n"), _nobody, _in),
    "tenant-ends-at-nul": Probe(_of("a\0b"), _nobody, _in),
    "tenant-pattern-accepted": Probe(_of("%"), _nobody, _in),
    "tenant-path-accepted": Probe(_of("../a"), _nobody, _in),
    "tenant-path-resolved": Probe(_of("./a"), _nobody, _in),
    "tenant-beginning-accepted": Probe(_of("tun"), _nobody, _in),
    "tenant-inherited-accepted": Probe(_of("constructor"), _nobody, _in),
    "inactive-tenant-accepted": Probe(_of("asleep"), _nobody, _in),
    "unknown-tenant-wrong-code": Probe(_of("c"), _nobody, ["ip_not_allowed"]),
    "tunnel-tenant-missing-accepted": Probe(_tunnel(...), _bad_tunnel, _opened),
    "tunnel-tenant-null-accepted": Probe(_tunnel(None), _bad_tunnel, _opened),
    "tunnel-tenant-empty-accepted": Probe(_tunnel(""), _bad_tunnel, _opened),
    "tunnel-tenant-number-accepted": Probe(_tunnel(7), _bad_tunnel, _opened),
    "tunnel-tenant-in-array-accepted": Probe(_tunnel(["a"]), _bad_tunnel, _opened),
    "tunnel-tenant-missing-wrong-code": Probe(_tunnel(...), _bad_tunnel, ["unknown_message_type"]),
    "tunnel-for-any-tenant": Probe(_tunnel("b"), _nobody, _opened),
    "tunnel-for-tenant-prefix": Probe(_tunnel("a-new"), _nobody, _opened),
    "tunnel-for-tenant-in-capitals": Probe(_tunnel("A"), _nobody, _opened),
    "tunnel-for-another-tenant-wrong-code": Probe(_tunnel("b"), _nobody, ["tenant_limit_exceeded"]),
}


@pytest.mark.parametrize("id_", PROBES)
def test_the_deviation_shows(id_: str) -> None:
    show(PROBES, id_)


@pytest.mark.parametrize("id_", PROBES)
def test_the_others_are_refused_all_the_same(id_: str) -> None:
    for other, probe in PROBES.items():
        if (
            "wrong-code" not in other
            and id_ in ("tenant-claim-empty-accepted", "tunnel-tenant-null-accepted")
            and id_ != other
        ):
            show({id_: Probe(probe.look, probe.clean, probe.clean)}, id_)
