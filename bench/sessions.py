"""Target 1: what a whole session costs the server."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

from bench.figures import Figure, Plan, Target, microseconds, ratios
from bench.processes import HERE, Client, Server, configured, peer
from cbspec.identity import DEVELOPMENT_SECRET, development_ca

_SESSIONS: Final = 150


def measure(plan: Plan) -> list[Figure]:
    """Measure whole sessions, bare handshakes and Node's sessions in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cbspec-bench-")))
        ours = stack.enter_context(Client(stack.enter_context(configured(folder, 1))))
        bare = stack.enter_context(Client(stack.enter_context(Server(peer("bare"))), "echo"))
        node = _node(folder)
        theirs = stack.enter_context(Client(stack.enter_context(Server(node)))) if node else None
        sessions, handshakes, nodes = [], [], []
        for nth in range(-1, plan.rounds):  # the first one warms up
            costs = ours.cost("sessions", _SESSIONS), bare.cost("handshakes", _SESSIONS)
            beside = theirs.cost("sessions", _SESSIONS) if theirs else 0.0
            if nth >= 0:
                sessions.append(costs[0])
                handshakes.append(costs[1])
                nodes.append(beside)
                plan.progress(f"round {nth + 1} of {plan.rounds}")
    figures = [
        Figure(
            "whole session / bare handshake of the same layer on the same loop",
            ratios(sessions, handshakes),
            1.5,
            parts=microseconds(session=sessions, handshake=handshakes),
        )
    ]
    if node:
        figures.append(
            Figure(
                "whole session / the same four exchanges on Node's tls",
                ratios(sessions, nodes),
                1.0,
                parts=microseconds(session=sessions, Node=nodes),
            )
        )
    return figures


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
