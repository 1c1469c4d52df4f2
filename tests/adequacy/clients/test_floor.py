"""A part of `make adequacy`: deviating clients, and conforming ones in a quick run; in each build a quarter of them.

Several conforming variants are combined in one client, which then has all their peculiarities. Clients in other
languages, which share no code with the kit, are in `independent/`.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cbspec.catalogue.requirements import CLIENT_REQUIREMENTS, Level
from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.situations import SITUATIONS, situations
from tests.adequacy.clients.floor import judged_shortly
from tests.adequacy.clients.judging import blamed, profile_of
from tests.adequacy.clients.registry import ClientKind, load
from tests.support.few import few

_DEVIATIONS = [change for change in load().values() if change.kind is ClientKind.DEVIATION]
_MOST = 90
"""The deviations that are judged in each build: one of each requirement, and some more."""

_FIRST = {change.requirement: change for change in reversed(_DEVIATIONS)}
_CHOSEN = [*_FIRST.values(), *(change for change in _DEVIATIONS if _FIRST[change.requirement] is not change)][:_MOST]
_BATCHES = 4
_AT_ONCE = 20
_COMBINED = (
    (
        "websocket",
        *(
            "escaped-strings",
            "three-tunnels",
            "to-standard-error",
            "verbose",
            "ends-on-loss",
            "fewer-features",
            "exit-code-of-sigterm",
        ),
        *("own-pings", "own-fragments", "own-subprotocol", "early-heartbeat", "other-version"),
    ),
    (
        "tcp",
        *("members-reversed", "more-members", "ends-with-cr-lf", "json-logs", "jitter", "exit-codes"),
        *("listens-while-open", "with-a-child", "ends-slowly", "first-heartbeat-at-once", "own-features"),
    ),
)
_INDEPENDENT: Mapping[str, Sequence[str]] = {
    "service.go": ("go",),
    "service.js": ("node",),
    "two_tunnels.py": (sys.executable,),
}


def test_every_requirement_that_can_be_broken_has_a_deviation() -> None:
    broken = {change.requirement for change in _DEVIATIONS}
    assert broken == {row.id for row in CLIENT_REQUIREMENTS.values() if row.level is not Level.INFO}
    assert {name for change in _DEVIATIONS for name in change.situations} <= set(SITUATIONS)
    counts = Counter(change.kind for change in load().values())
    assert counts[ClientKind.DEVIATION] >= 80
    assert counts[ClientKind.VARIANT] >= 20
    assert counts[ClientKind.OPEN_POINT] >= 15


@pytest.mark.parametrize("batch", few(range(_BATCHES), _BATCHES))
def test_a_deviation_of_each_requirement_is_killed_by_it(batch: int) -> None:
    rows = asyncio.run(judged_shortly(_CHOSEN[batch::_BATCHES], _AT_ONCE))
    wrong = [(row.change.id, row.change.requirement, row.verdict, row.others) for row in rows if not row.good]
    assert wrong == []


@pytest.mark.parametrize("client", few(_COMBINED, 2), ids=lambda client: client[0])
def test_conforming_variants_are_left_alone(client: tuple[str, ...]) -> None:
    transport, *ids = client
    profile = profile_of([load()[id_] for id_ in ids], transport)
    assert asyncio.run(blamed(profile, situations(transport, quick=True), transport, quick=True)) == []


@pytest.mark.parametrize("name", few(_INDEPENDENT, 2))
def test_independent_clients_are_left_alone(name: str, tmp_path: Path) -> None:
    program, *words = _INDEPENDENT[name]
    if shutil.which(program) is None:
        pytest.skip(f"{program} isn't installed")
    source = Path(__file__).parent / "independent" / name
    start = [program, *words, str(source)]
    if program == "go":
        start = [str(tmp_path / "client")]
        subprocess.run(["go", "build", "-o", start[0], source], check=True, timeout=300)
    arguments = ("{host}", "{port}", "{ca}", "{token}")
    profile = ClientProfile(command=(*start, *arguments), answer_timeout=5.0, heartbeat_interval=1.0)
    assert asyncio.run(blamed(profile, situations("tcp", quick=True), "tcp", quick=True)) == []
