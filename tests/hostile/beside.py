"""How long others wait for their answers while somebody attacks, beside how long they wait while nobody does.

`python -m tests.hostile.beside [--seconds S] [NAME ...]` (`make hostile`) prints the table: calm and attack take turns,
a third of a second each, so that whatever else the machine does touches both.
"""

from __future__ import annotations

import argparse
import contextlib
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.document import machine
from tests.hostile.attacks import ATTACKS, Target
from tests.hostile.process import running
from tests.simulator.client import BEAT

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "hostile.md"
_TEXT: Final = """\
# Hostile peers

Written by `make hostile`; don't edit it. What four ordinary clients wait for the answer to a heartbeat while somebody
attacks, beside what they wait while nobody does. Calm and attack take turns, a third of a second each, in one run. The
attacker is a process of its own that gives way to the others on a processor, and connects four times a second where it
has to connect anew. What each does is in `tests/hostile/attacks.py`; how each ends, in the tests beside it.

{table}

The slowest hundredth is to wait no more than twice as long, which on a quiet machine is a tenth of a millisecond more.
What is above that: a 64 MiB line and a million levels bring a handshake of half a millisecond with each connection; a
large message takes as long as Python's parser does for it, once, and is paused behind; tiny messages, empty frames and
unread answers, which are on nobody's list, take all that the processor gives, a quarter of a millisecond a turn.

## The machine

{machine}
"""
_WINDOW = 1 / 3  # seconds
_PACE = 0.001  # seconds between two requests
_CLIENTS = 4


class Found(NamedTuple):
    """Latencies in milliseconds, and MiB that the relay has taken at most."""

    calm: float
    attacked: float
    median_calm: float
    median_attacked: float
    samples: int
    memory: float

    @property
    def ratio(self) -> float:
        """How many times as long the slowest hundredth waits."""
        return self.attacked / self.calm


@contextlib.contextmanager
def attacking(name: str, address: tuple[str, int], *, idle: bool) -> Iterator[subprocess.Popen[str]]:
    """Run an attacker that waits to be let; an `idle` one has only the processors that nobody else wants."""
    command = [sys.executable, "-m", "tests.hostile.attacks", name, address[0], str(address[1])]
    command += ["idle"] if idle else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
            process.stdin.close()
            process.wait(100)
        finally:
            process.kill()


def _say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{word}\n"


def _measured(clients: list[ssl.SSLSocket], seconds: float) -> list[float]:
    """Have clients ask in turn, and return how long each waited for its answer."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for client in clients:
            began = time.perf_counter()
            client.sendall(BEAT)
            assert client.recv(4096)
            found.append(time.perf_counter() - began)
            time.sleep(_PACE)
    return found


def measure(name: str, seconds: float, *, idle: bool = True) -> Found:
    """Attack for so many seconds, in turns with as many of calm (`idle`: see `attacking`)."""
    calm: list[float] = []
    attacked: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cbspec-hostile-") as folder, running(Path(folder)) as relay:
        target = Target(relay.address)
        clients = [target.greeted() for _ in range(_CLIENTS)]
        _measured(clients, _WINDOW)
        with attacking(name, relay.address, idle=idle) as attacker:
            for _ in range(max(1, round(seconds / _WINDOW))):
                calm += _measured(clients, _WINDOW)
                _say(attacker, "on")
                attacked += _measured(clients, _WINDOW)
                _say(attacker, "off")
                time.sleep(0.05)
            memory = relay.peak
        for client in clients:
            client.close()
    ordinary, worse = sorted(calm), sorted(attacked)
    return Found(_at(0.99, ordinary), _at(0.99, worse), _at(0.5, ordinary), _at(0.5, worse), len(attacked), memory)


def _at(part: float, ordered: list[float]) -> float:
    return 1000 * ordered[int(part * len(ordered))]


def _rows(names: Iterable[str], seconds: float) -> Iterator[str]:
    yield "| while one peer keeps at it | p99 calm, ms | p99 attacked, ms | times | median calm, attacked | peak MiB |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in names:
        found = measure(name, seconds)
        medians = f"{found.median_calm:.2f}, {found.median_attacked:.2f}"
        cells = (f"{found.calm:.2f}", f"{found.attacked:.2f}", f"{found.ratio:.1f}", medians, f"{found.memory:.0f}")
        yield "| " + " | ".join((name, *cells)) + " |"


def main() -> None:
    """Measure, print, and write docs/hostile.md where everything was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.beside")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each attack, by default %(default)s")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ATTACKS)}")
    args = parser.parse_args()
    rows = []
    for row in _rows(args.names or ATTACKS, args.seconds):
        print(row, flush=True)
        rows.append(row)
    if not args.names:
        described = "\n".join(f"- {line}" for line in machine())
        _DOCUMENT.write_text(_TEXT.format(table="\n".join(rows), machine=described), encoding="utf-8")


if __name__ == "__main__":
    main()
