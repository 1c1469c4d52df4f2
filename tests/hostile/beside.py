"""How long others wait for their answers while somebody attacks, beside how long they wait while nobody does.

`python -m tests.hostile.beside [--seconds S] [NAME ...]` (`make hostile`) prints the table: calm and attack take turns,
a third of a second each, so that whatever else the machine does touches both. Calm is measured at a second relay, which
nobody attacks: what an attack leaves behind must not pass for calm.
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

from bench.machine import machine
from tests.hostile.attacks import ATTACKS, Target
from tests.support.client import BEAT
from tests.support.processes import Served, served

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "hostile.md"
_TEXT: Final = """\
# Hostile peers

Written by `make hostile`; don't edit it. What four ordinary clients wait for the answer to a heartbeat while somebody
attacks their relay, beside what they wait while nobody does. There are two relays, of which one is attacked: calm and
attack take turns, a third of a second each, and while the attack lasts clients of the other relay are asked as well
(elsewhere): what they notice is the machine's doing. Who waits long would have asked again meanwhile, and those waits
count, too. The attacker is a process of its own that gives way to the others on a processor, keeps its connection for
as long as the relay does, and connects four times a second where it has to connect anew. What each does is in
`tests/hostile/attacks.py`; how each ends, in the tests beside it.

{table}

The slowest hundredth is to wait no more than twice as long, which on a quiet machine is a tenth of a millisecond more.
What the relay does for it: whatever can be cut is taken in turns of a twentieth of a millisecond, with gaps between
them; a large message takes as long as Python's parser does for it, and the connection then waits three hundred times as
long. The one in 200,000 pieces takes a tenth of a second, in which all wait, and then nothing for half a minute: that
is too much for the slowest hundredth of ten seconds, and little for that of an hour. A connection that is made anew
brings a handshake of half a millisecond, which four times a second is a five-hundredth of the time.

## The machine

{machine}
"""
_WINDOW = 1 / 3  # seconds
_PACE = 0.001  # seconds between two requests
_CLIENTS = 4


class Found(NamedTuple):
    """The slowest hundredth of waits in milliseconds, medians, and MiB that the relay has taken at most."""

    calm: float
    elsewhere: float
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
    """Have clients ask in turn, and return how long each waited for its answer.

    Who waits long would have asked again meanwhile, and waited as well: those waits count, too.
    """
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for client in clients:
            began = time.perf_counter()
            client.sendall(BEAT)
            assert client.recv(4096)
            waited = time.perf_counter() - began
            found.append(waited)
            while (waited := waited - _PACE) > 0:
                found.append(waited)
            time.sleep(_PACE)
    return found


def measure(name: str, seconds: float, *, idle: bool = True) -> Found:
    """Attack one of two relays for so many seconds, and ask both, in turns with calm (`idle`: see `attacking`)."""
    calm: list[float] = []
    elsewhere: list[float] = []
    attacked: list[float] = []
    with contextlib.ExitStack() as stack:
        here, there = (stack.enter_context(_relay()) for _ in range(2))
        clients, others = (
            [stack.enter_context(Target(relay.address).greeted()) for _ in range(_CLIENTS)] for relay in (here, there)
        )
        attacker = stack.enter_context(attacking(name, here.address, idle=idle))
        for _ in range(max(1, round(seconds / _WINDOW))):
            calm += _measured(others, _WINDOW)
            _say(attacker, "on")
            attacked += _measured(clients, _WINDOW)
            elsewhere += _measured(others, _WINDOW)
            _say(attacker, "off")
        memory = here.peak / 1024
    for found in (calm, elsewhere, attacked):
        found.sort()
    hundredths = (_at(0.99, calm), _at(0.99, elsewhere), _at(0.99, attacked))
    return Found(*hundredths, _at(0.5, calm), _at(0.5, attacked), len(attacked), memory)


@contextlib.contextmanager
def _relay() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="cbspec-hostile-") as folder, served(Path(folder)) as relay:
        yield relay


def _at(part: float, ordered: list[float]) -> float:
    return 1000 * ordered[int(part * len(ordered))]


def _rows(names: Iterable[str], seconds: float) -> Iterator[str]:
    yield "| while one peer keeps at it | p99 calm, ms | elsewhere | attacked | times | medians | peak MiB |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in names:
        found = measure(name, seconds)
        medians = f"{found.median_calm:.2f}, {found.median_attacked:.2f}"
        hundredths = (f"{each:.2f}" for each in (found.calm, found.elsewhere, found.attacked))
        yield "| " + " | ".join((name, *hundredths, f"{found.ratio:.1f}", medians, f"{found.memory:.0f}")) + " |"


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
