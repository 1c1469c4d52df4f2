"""`make hostile`: how long other clients wait for answers during an attack, compared with a relay that isn't attacked.

Calm and attack alternate, a third of a second each, so that other work of the machine affects both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.machine import machine
from tests.hostile.attacks import ATTACKS
from tests.support.client import RawClient
from tests.support.messages import BEAT
from tests.support.processes import Served, served

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reference" / "hostile.md"
_HEAD: Final = ("attack", "p99 calm, ms", "p99 elsewhere", "p99 attacked", "ratio", "medians", "peak MiB")
_WINDOW: Final = 1 / 3  # seconds
_PAUSE: Final = 0.001  # seconds between two requests
_CLIENTS: Final = 4


class Waits(NamedTuple):
    """The 99th percentile and the median of waits in milliseconds, and the attacked relay's peak memory in MiB."""

    calm: float
    elsewhere: float
    attacked: float
    medians: tuple[float, float]
    samples: int
    memory: float

    @property
    def ratio(self) -> float:
        """How many times as long the 99th percentile is during the attack."""
        return self.attacked / self.calm


def measure(name: str, seconds: float) -> Waits:
    """Attack one of two relays and send heartbeats to both."""
    calm, elsewhere, attacked = list[float](), list[float](), list[float]()
    with contextlib.ExitStack() as stack:
        target, other = (stack.enter_context(_relay()) for _ in range(2))
        clients, others = ([stack.enter_context(_client(each)) for _ in range(_CLIENTS)] for each in (target, other))
        attacker = stack.enter_context(_attacker(name, target))
        for _ in range(max(1, round(seconds / _WINDOW))):
            os.kill(attacker.pid, signal.SIGSTOP)
            calm += _waits(others)
            os.kill(attacker.pid, signal.SIGCONT)
            attacked += _waits(clients)
            elsewhere += _waits(others)
        memory = target.peak / 1024
    medians = _quantile(0.5, calm), _quantile(0.5, attacked)
    first, second, third = (_quantile(0.99, each) for each in (calm, elsewhere, attacked))
    return Waits(first, second, third, medians, len(attacked), memory)


@contextlib.contextmanager
def _relay() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="cbspec-hostile-") as folder, served(Path(folder)) as relay:
        yield relay


def _client(relay: Served) -> RawClient:
    client = RawClient(relay.address).handshake()
    assert client.enter() == ["hello_response", "auth_response"]
    return client


@contextlib.contextmanager
def _attacker(name: str, target: Served) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.hostile.attacks", name, *map(str, target.address)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def _waits(clients: list[RawClient]) -> list[float]:
    """Send heartbeats for a while; return how long each client waited.

    A client that waits long would have sent more requests meanwhile: the waits of those count too.
    """
    found, end = [], time.monotonic() + _WINDOW
    while time.monotonic() < end:
        for client in clients:
            began = time.perf_counter()
            assert client.name(BEAT) == "heartbeat_response"
            client.records.clear()
            waited = time.perf_counter() - began
            while waited > 0:
                found.append(waited)
                waited -= _PAUSE
            time.sleep(_PAUSE)
    return found


def _quantile(part: float, waits: list[float]) -> float:
    return 1000 * sorted(waits)[int(part * len(waits))]


def _row(name: str, found: Waits) -> str:
    p99 = [f"{each:.2f}" for each in (found.calm, found.elsewhere, found.attacked)]
    medians = ", ".join(f"{each:.2f}" for each in found.medians)
    return "| " + " | ".join((name, *p99, f"{found.ratio:.1f}", medians, f"{found.memory:.0f}")) + " |"


def main() -> None:
    """Measure, print, and write docs/reference/hostile.md if all attacks were measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.measure", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds per attack (default: %(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"attacks (default: all): {', '.join(ATTACKS)}")
    args = parser.parse_args()
    rows = ["| " + " | ".join(_HEAD) + " |", "| --- " * len(_HEAD) + "|"]
    for name in args.names or ATTACKS:
        rows.append(_row(name, measure(name, args.seconds)))
        print(rows[-1], flush=True)
    if not args.names:
        text = _DOCUMENT.read_text(encoding="utf-8")
        before, after = text.partition("| ")[0], text.rpartition("|\n")[2].partition("## The machine")[0]
        facts = "\n".join(f"- {fact}" for fact in machine())
        _DOCUMENT.write_text(before + "\n".join(rows) + f"\n{after}## The machine\n\n{facts}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
