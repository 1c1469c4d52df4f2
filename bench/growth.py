"""Target 4: what stays as it is while a relay's work grows by a thousand, and how fast it is there."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.figures import Figure, Plan, Target, microseconds, ratios
from bench.processes import Client, Server, configured, peer, simulator

_MANY: Final = 10_000
_MANY_TENANTS: Final = 1_000
_FEW: Final = 10
_BEATS: Final = 4_000
_GROWTH: Final = 1.15
_COMINGS: Final = 20
_SETTLED: Final = 10  # rounds until the allocator has most of its arenas, and the transcript is full
_COMING: Final = 1_000  # connections that come and go together
_KIB: Final = 1024


def measure(plan: Plan) -> list[Figure]:
    """Measure each kind of growth."""
    return [*_crowd(plan), *_start(plan), *_coming_and_going(plan)]


def _crowd(plan: Plan) -> list[Figure]:
    """Messages in a crowd against messages among few; and the same of bare echoes, to know the machine's share."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cbspec-bench-")))
        many = stack.enter_context(Client(stack.enter_context(configured(folder, _MANY_TENANTS)), "tcp", _MANY_TENANTS))
        few = stack.enter_context(Client(stack.enter_context(configured(folder, _FEW)), "tcp", _FEW))
        bare_many = stack.enter_context(Client(stack.enter_context(Server(peer("bare", "line"))), "echo"))
        bare_few = stack.enter_context(Client(stack.enter_context(Server(peer("bare", "line"))), "echo"))
        for client, number in ((many, _MANY), (bare_many, _MANY), (few, _FEW), (bare_few, _FEW)):
            client.do("open", number)
            plan.progress(f"{number:,} connections to {'the relay' if client in (many, few) else 'bare TLS'} are open")
        acts = {"many": (many, "tens"), "few": (few, "tens"), "ten of many": (many, "same-ten")}
        acts |= {"bare many": (bare_many, "tens"), "bare few": (bare_few, "tens")}
        costs: dict[str, list[float]] = {name: [] for name in acts}
        for nth in range(plan.rounds):
            for name, (client, act) in acts.items():
                costs[name].append(client.cost(act, _BEATS))
            plan.progress(f"messages, round {nth + 1} of {plan.rounds}")
    crowd = f"{_MANY:,} connections and tunnels, {_MANY_TENANTS:,} tenants"
    return [
        Figure(
            f"processor time per message, {crowd}, all of them speaking in turn / ten of each",
            ratios(costs["many"], costs["few"]),
            _GROWTH,
            parts=microseconds(many=costs["many"], few=costs["few"]),
        ),
        Figure(
            f"the same of a bare TLS echo on that transport: what {_MANY:,} connections cost the processor's caches",
            ratios(costs["bare many"], costs["bare few"]),
            parts=microseconds(many=costs["bare many"], few=costs["bare few"]),
        ),
        Figure(
            f"processor time per message, {crowd}, ten of them speaking / ten of each",
            ratios(costs["ten of many"], costs["few"]),
            _GROWTH,
            parts=microseconds(many=costs["ten of many"], few=costs["few"]),
        ),
    ]


def _start(plan: Plan) -> list[Figure]:
    """How long `cbspec simulate` takes until it listens: on a processor of its own, and with others' work beside it."""
    wall, used = [], []
    for nth in range(plan.rounds):
        began = time.monotonic()
        with Server(simulator()) as server:
            wall.append(time.monotonic() - began)
            used.append(server.processor())
        plan.progress(f"start-up, round {nth + 1} of {plan.rounds}")
    name = "start-up of cbspec simulate until it listens"
    return [
        Figure(f"{name}, processor time", used, 0.5, unit="s"),
        Figure(f"{name}, by the clock on the wall, whatever else the machine does", wall, unit="s"),
    ]


def _coming_and_going(plan: Plan) -> list[Figure]:
    """Memory while a thousand connections come and go again and again."""
    held, left = [], []
    with (
        tempfile.TemporaryDirectory(prefix="cbspec-bench-") as folder,
        configured(Path(folder), _FEW) as server,
        Client(server, tenants=_FEW) as client,
    ):
        for nth in range(_COMINGS):
            client.do("open", _COMING)
            held.append(server.resident())
            client.do("drop", _COMING)
            left.append(server.resident())
            plan.progress(f"{_COMING:,} connections came and went, round {nth + 1} of {_COMINGS}")
    grown = [size / held[_SETTLED - 1] for size in held[-3:]]
    return [
        Figure(
            f"memory with {_COMING:,} connections, round {_COMINGS} of their coming and going / round {_SETTLED}",
            grown,
            1.05,
            parts=f"round 1 {held[0] // _KIB:,} KiB, {_SETTLED} {held[_SETTLED - 1] // _KIB:,}, "
            f"{_COMINGS} {held[-1] // _KIB:,}; empty after the last {left[-1] // _KIB:,}",
        ),
    ]


TARGET: Final = Target(4, "Growth", measure)
