"""Target 2: heartbeats on fifty connections that are open, as many as the server can."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Final

from bench.figures import Figure, Plan, Target, microseconds, ratios
from bench.processes import Client, Server, configured, peer

_CONNECTIONS: Final = 50
_BEATS: Final = 4000


def measure(plan: Plan) -> list[Figure]:
    """Measure heartbeats and the peers' echoes in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cbspec-bench-")))
        relay = stack.enter_context(configured(folder, 1))
        floor = stack.enter_context(Server(peer("floor")))
        clients = {
            "floor": stack.enter_context(Client(floor, "tcp")),
            "floor websocket": stack.enter_context(Client(floor, "websocket")),
            "tcp": stack.enter_context(Client(relay, "tcp")),
            "bare": stack.enter_context(Client(stack.enter_context(Server(peer("bare"))), "echo")),
            "own": stack.enter_context(Client(stack.enter_context(Server(peer("bare", "line"))), "echo")),
            "websocket": stack.enter_context(Client(relay, "websocket")),
            "websockets": stack.enter_context(
                Client(stack.enter_context(Server(peer("websockets_echo"))), "websocket-echo")
            ),
        }
        for client in clients.values():
            client.do("open", _CONNECTIONS)
            client.do("beats", _BEATS)
        costs: dict[str, list[float]] = {name: [] for name in clients}
        for nth in range(plan.rounds):
            for name, client in clients.items():
                costs[name].append(client.cost("beats", _BEATS))
            plan.progress(f"round {nth + 1} of {plan.rounds}")
    return [
        Figure(
            "heartbeats per second of processor, TCP / echoes of the same bytes on the same layer",
            ratios(costs["bare"], costs["tcp"]),
            0.7,
            least=True,
            parts=microseconds(heartbeat=costs["tcp"], echo=costs["bare"]),
        ),
        Figure(
            "heartbeats per second of processor, WebSocket / echoes by the websockets package's server",
            ratios(costs["websockets"], costs["websocket"]),
            1.0,
            least=True,
            parts=microseconds(heartbeat=costs["websocket"], websockets=costs["websockets"]),
        ),
        Figure(
            "heartbeats per second of processor, TCP / echoes on the relay's own transport, which is asyncio's above",
            ratios(costs["own"], costs["tcp"]),
            parts=microseconds(heartbeat=costs["tcp"], echo=costs["own"]),
        ),
        Figure(
            "the floor, TCP: json and the framer, no relay at all / the same echoes",
            ratios(costs["own"], costs["floor"]),
            parts=microseconds(floor=costs["floor"], echo=costs["own"]),
        ),
        Figure(
            "the floor, WebSocket: json and the framer, no relay at all / echoes by the websockets package's server",
            ratios(costs["websockets"], costs["floor websocket"]),
            parts=microseconds(floor=costs["floor websocket"], websockets=costs["websockets"]),
        ),
    ]


TARGET: Final = Target(2, "Steady state, 50 connections", measure)
