"""The catalogue of deviations as a whole."""

from __future__ import annotations

import re

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS
from cbspec_simulator import DEVIATIONS, Behaviour, Config, Simulator, deviated
from cbspec_simulator.settings.config import Listen
from cbspec_simulator.variations import deviations
from tests.simulator.variations.deviations import (
    test_accounts,
    test_arrival,
    test_auth,
    test_codes,
    test_conditions,
    test_errors,
    test_hello,
    test_hostility,
    test_identifiers,
    test_limits,
    test_members,
    test_metrics,
    test_output,
    test_reading,
    test_requests,
    test_robustness,
    test_spelling,
    test_tenants,
    test_tls,
    test_tokens,
    test_trust,
    test_tunnel,
    test_websocket,
)
from tests.support.client import BEAT, HELLO, AsyncClient, auth, until

PROBED = (
    test_accounts,
    test_arrival,
    test_auth,
    test_codes,
    test_conditions,
    test_errors,
    test_hello,
    test_hostility,
    test_identifiers,
    test_limits,
    test_members,
    test_output,
    test_reading,
    test_requests,
    test_robustness,
    test_spelling,
    test_tenants,
    test_tokens,
    test_trust,
    test_tunnel,
)
ON_A_SOCKET = (
    *test_metrics.PROBED,
    *test_tls.PROBED,
    *test_websocket.PROBED,
    *test_hostility.ON_A_SOCKET,
    *test_robustness.ON_A_SOCKET,
    *test_auth.ON_A_SOCKET,
)
"""Those that show on a real server only, by tests of their own."""


@pytest.mark.parametrize("id_", DEVIATIONS)
def test_each_names_a_requirement_and_says_a_sentence(id_: str) -> None:
    deviation = DEVIATIONS[id_]
    assert deviation.id == id_
    assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", id_)
    assert deviation.requirement in REQUIREMENTS
    assert deviation.sentence.endswith(".")


def test_no_id_is_there_twice() -> None:
    assert sum(len(module.DEVIATIONS) for module in deviations._MODULES) == len(DEVIATIONS)


def test_each_has_a_probe_that_shows_it() -> None:
    probed = {id_ for module in PROBED for id_ in module.PROBES}
    assert probed | set(ON_A_SOCKET) == set(DEVIATIONS)


def test_several_can_be_laid_over_each_other() -> None:
    behaviour = deviated(Behaviour(), "hello-version-missing", "rate-ignored", "tls-1.2-accepted")
    assert behaviour != Behaviour()
    with pytest.raises(KeyError):
        deviated(Behaviour(), "no-such-deviation")


@pytest.mark.parametrize("id_", [id_ for id_ in DEVIATIONS if not id_.startswith("tls-")])
async def test_each_serves_without_a_fault_of_its_own(id_: str, caplog: pytest.LogCaptureFixture) -> None:
    simulator = Simulator(Config(listen=Listen(port=0)), behaviour=deviated(Behaviour(), id_))
    async with simulator, AsyncClient(simulator.address) as wire:
        wire.write(HELLO + auth() + BEAT + b'{"type":"end"}\n')
        await until(lambda: simulator.relay.connected > 0)
    assert not caplog.records
