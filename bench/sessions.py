"""Target 1: what a whole session costs the server."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.figures import Figure, Plan, Target, microseconds, ratios
from bench.processes import HERE, Client, Server, configured, peer
from cbspec.profile.identity import DEVELOPMENT_SECRET, development_ca

_SESSIONS: Final = 250


def measure(plan: Plan) -> list[Figure]:
    """Measure whole sessions, bare handshakes and Node's sessions in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cbspec-bench-")))
        ours = stack.enter_context(Client(stack.enter_context(configured(folder, 1))))
        bare = stack.enter_context(Client(stack.enter_context(Server(peer("bare"))), "echo"))
        node = _node(folder)
        theirs = stack.enter_context(Client(stack.enter_context(Server(node)))) if node else None
        own = stack.enter_context(Client(stack.enter_context(Server(peer("bare", "line"))), "echo"))
        floor = stack.enter_context(Client(stack.enter_context(Server(peer("floor")))))
        acts = {"session": (ours, "sessions"), "handshake": (bare, "handshakes"), "echoes": (own, "sessions")}
        acts |= {"own handshake": (own, "handshakes"), "floor": (floor, "sessions")}
        acts |= {"lonely session": (ours, "lonely"), "lonely handshake": (bare, "lonely-handshakes")}
        if theirs:
            acts |= {"Node": (theirs, "sessions"), "lonely Node": (theirs, "lonely")}
        costs: dict[str, list[float]] = {name: [] for name in acts}
        for nth in range(-2, plan.rounds):  # the first two warm up
            for name, (client, act) in acts.items():
                cost = client.cost(act, _SESSIONS)
                if nth >= 0:
                    costs[name].append(cost)
            plan.progress(f"round {nth + 1} of {plan.rounds}" if nth >= 0 else "warming up")
    return list(_figures(costs))


def _figures(costs: dict[str, list[float]]) -> Iterator[Figure]:
    together, alone = "twenty-five at a time", "one at a time, the processor asleep in between"
    for prefix, how, judged in (("", together, True), ("lonely ", alone, False)):
        for peer_, about, limit in (
            ("handshake", "a bare handshake of the same layer on the same loop", 1.5),
            ("Node", "the same four exchanges on Node's tls", 1.0),
        ):
            if prefix + peer_ in costs:
                ours, theirs = costs[f"{prefix}session"], costs[prefix + peer_]
                name = f"whole session / {about}, {how}"
                parts = microseconds(**{"session": ours, peer_: theirs})
                yield Figure(name, ratios(ours, theirs), limit if judged else None, parts=parts)
    for name, about in (
        ("session", "whole session / a bare handshake on the relay's own transport, which is asyncio's above"),
        ("floor", "the floor: handshake, PyJWT's decode, json and the framer, no relay at all / the same handshake"),
        ("echoes", "handshake and four bare echoes of the session's bytes / the same handshake"),
    ):
        above, handshakes = costs[name], costs["own handshake"]
        yield Figure(about, ratios(above, handshakes), parts=microseconds(**{name: above, "handshake": handshakes}))
    if "Node" in costs:
        yield Figure(
            "the floor / Node's session",
            ratios(costs["floor"], costs["Node"]),
            parts=microseconds(floor=costs["floor"], Node=costs["Node"]),
        )


def _node(folder: Path) -> list[str] | None:
    """Return the command of the relay on Node, where there is one."""
    node = shutil.which("node")
    if node is None:
        return None
    chain, key = development_ca().issue("127.0.0.1", "localhost")
    file = folder / "node.pem"
    file.touch(mode=0o600)
    file.write_bytes(key + chain)
    return [node, str(HERE / "servers" / "relay.js"), str(file), DEVELOPMENT_SECRET]


TARGET: Final = Target(1, "A whole session, server processor time", measure)
