"""Processor time per operation, as pyperf benchmarks: `python -m bench.speed [pyperf's options]`."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache

import pyperf

from bench import suite
from bench.load import BATCH, Load
from bench.server import peer, simulator
from tests.support.processes import Served

_CONNECTIONS = 50


def _measured(
    start: Callable[[], AbstractContextManager[Served]], operation: str, **kind: bool
) -> Callable[[int], float]:
    """Return pyperf's time function: the server's processor time for so many batches of an operation."""

    @cache  # in a worker process, and only for the benchmark that it runs
    def started() -> tuple[Served, Load]:
        stack = ExitStack()
        atexit.register(stack.close)
        server = stack.enter_context(start())
        load = Load(server.address, **kind)
        if operation == "heartbeats":
            load.open(_CONNECTIONS)
        return server, load

    def run(loops: int) -> float:
        server, load = started()
        before = server.holding().processor
        for _ in range(loops):
            getattr(load, operation)()
        return server.holding().processor - before

    return run


def _start_up(loops: int) -> float:
    """Return the processor time of `cbspec simulate` until it listens."""
    used = 0.0
    for _ in range(loops):
        with simulator() as server:
            used += server.holding().processor
    return used


def main() -> None:
    """Run the benchmarks."""
    runner = pyperf.Runner(program_args=("-m", "bench.speed"))
    for name, start, operation, kind in (
        ("session", simulator, "sessions", {}),
        ("handshake", lambda: peer("echo"), "handshakes", {}),
        ("session, Node", lambda: peer("node"), "sessions", {}),
        ("heartbeat, TCP", simulator, "heartbeats", {}),
        ("echo, TCP", lambda: peer("echo"), "heartbeats", {"echo": True}),
        ("heartbeat, WebSocket", simulator, "heartbeats", {"websocket": True}),
        ("echo, websockets", lambda: peer("websockets"), "heartbeats", {"websocket": True, "echo": True}),
    ):
        if "Node" not in name or shutil.which("node"):
            runner.bench_time_func(name, _measured(start, operation, **kind), inner_loops=BATCH)
    runner.bench_time_func("session of the suite", suite.judged, inner_loops=suite.SESSIONS)
    runner.bench_time_func("session, blocking client", suite.bare, inner_loops=suite.SESSIONS)
    runner.bench_time_func("start-up", _start_up)


if __name__ == "__main__":
    main()
