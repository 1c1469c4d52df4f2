"""The open points as a whole: each names a row that demands nothing of it, and the exchange of the page works on it."""

from __future__ import annotations

import re

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS, Behaviour, Config, opened, opened_config
from cbspec_simulator.variations import open_points
from tests.simulator.variations.open_points.probe import serving
from tests.support.client import BEAT, HELLO, AsyncClient, auth, tunnel


def test_there_are_many_and_each_has_an_id_of_its_own() -> None:
    assert len(OPEN_POINTS) >= 32
    assert not {*OPEN_POINTS} & {*DEVIATIONS, *VARIANTS}
    assert sum(len(module.OPEN_POINTS) for module in open_points._MODULES) == len(OPEN_POINTS)


@pytest.mark.parametrize("id_", OPEN_POINTS)
def test_each_says_a_sentence_and_breaks_no_must(id_: str) -> None:
    point = OPEN_POINTS[id_]
    assert point.id == id_
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id_)
    assert point.sentence.endswith(".")
    row = REQUIREMENTS[point.requirement]
    assert row.level is not Level.MUST
    assert not row.untestable


@pytest.mark.parametrize("id_", OPEN_POINTS)
async def test_the_exchange_works(id_: str) -> None:
    async with serving(id_) as simulator, AsyncClient(simulator.address) as wire:
        for request, kind in (
            (HELLO, "hello_response"),
            (auth(), "auth_response"),
            (tunnel("tünnel/1"), "tunnel_response"),
            (BEAT, "heartbeat_response"),
        ):
            assert (await wire.ask(request))["type"] == kind


def test_several_can_be_laid_over_each_other() -> None:
    assert opened(Behaviour(), "expiry-required", "token-for-once") != Behaviour()
    assert opened_config(Config(), "large-messages", "deep-messages").limits.max_depth == 256
    with pytest.raises(KeyError):
        opened(Behaviour(), "no-such-point")
    with pytest.raises(KeyError):
        opened_config(Config(), "no-such-point")
