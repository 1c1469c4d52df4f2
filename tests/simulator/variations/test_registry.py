"""Each variation differs from the clean relay in a conversation in memory; `test_edge` covers the edge."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from cbspec.catalogue.requirements import REQUIREMENTS, Level
from cbspec_simulator import (
    DEVIATIONS,
    OPEN_POINTS,
    PERSONAS,
    RARE,
    VARIANTS,
    Behaviour,
    Config,
    Variation,
    arranged,
    varied,
)
from cbspec_simulator.variations.registry import AFTER
from tests.simulator.variations import conversations
from tests.simulator.variations.conversations import CONVERSATIONS, TENANTS, Dialogue, play
from tests.simulator.variations.test_edge import AT_THE_EDGE

CLEAN = Config(tenants=TENANTS)
EVERYTHING = {**PERSONAS, **VARIANTS, **OPEN_POINTS}
OF_METRICS = [id_ for id_ in EVERYTHING if id_.startswith("metrics-")]


@cache
def _clean(name: str) -> list[tuple[object, ...]]:
    return list(play({**CONVERSATIONS, **conversations.RARE, **conversations.SEQUENCES}[name], varied, CLEAN))


def _differs(variation: Variation, found: dict[str, Dialogue]) -> bool:
    """Return whether a conversation differs; it comes first for the next variation, which is often of the same kind."""
    config = variation.arrange(CLEAN)
    for name, conversation in found.items():
        pairs = zip(play(conversation, variation.change, config), _clean(name), strict=True)
        if any(event != clean for event, clean in pairs):
            rest = {other: found[other] for other in found if other != name}
            found.clear()
            found.update({name: conversation, **rest})
            return True
    return False


@pytest.mark.parametrize("half", range(2))
def test_each_differs_in_a_conversation(half: int) -> None:
    judged = [id_ for id_ in EVERYTHING if id_ not in {*AT_THE_EDGE, *OF_METRICS}]
    chosen = judged[: len(judged) // 2] if half == 0 else judged[len(judged) // 2 :]
    usual, rare = dict(CONVERSATIONS), {**CONVERSATIONS, **conversations.RARE}
    shown = {id_: conversations.SEQUENCES if id_ in AFTER else rare if id_ in RARE else usual for id_ in chosen}
    assert [id_ for id_ in chosen if not _differs(EVERYTHING[id_], shown[id_])] == []


def test_the_clean_relay_repeats_itself() -> None:
    assert [name for name, talk in CONVERSATIONS.items() if list(play(talk, varied, CLEAN)) != _clean(name)] == []


def _served(change: Callable[[Behaviour], Behaviour]) -> list[object]:
    """Return the status, the headers and the bodies of a metrics application that counts."""
    number = itertools.count()

    def app(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Type", environ.get("HTTP_ACCEPT", "text/plain"))])
        return [b"# TYPE cloudbridge_a counter\ncloudbridge_a %d\n" % next(number)]

    made, served = change(Behaviour()).metrics(app), list[object]()

    def start(*about: object) -> None:
        served.append(about)

    for _ in range(2):
        served += made({"HTTP_ACCEPT": "application/openmetrics-text"}, start)
    return served


def test_each_variation_of_metrics_differs() -> None:
    assert [id_ for id_ in OF_METRICS if _served(EVERYTHING[id_].change) == _served(varied)] == []


def test_each_has_an_id_a_sentence_and_a_requirement_of_its_kind() -> None:
    assert len(EVERYTHING) == len(DEVIATIONS) + len(RARE) + len(VARIANTS) + len(OPEN_POINTS), "an id is there twice"
    for id_, variation in EVERYTHING.items():
        assert variation.id == id_
        assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", id_)
        assert variation.sentence.endswith("."), id_
    assert {variation.requirement for variation in PERSONAS.values()} <= set(REQUIREMENTS)
    for point in OPEN_POINTS.values():
        row = REQUIREMENTS[point.requirement]
        assert row.level is not Level.MUST, point.id
        assert not row.untestable, point.id


def test_variations_are_applied_in_their_order() -> None:
    ids = ("small-messages", "deep-messages")
    depths = [arranged(Config(), *order).limits.max_depth for order in (ids, reversed(ids))]
    assert depths == [256, 8]
    with pytest.raises(KeyError):
        varied(Behaviour(), "no-such-variation")
