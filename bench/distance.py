"""The time of whole runs of the suite on distant and slow relays: `python -m bench.distance [NAME ...]`.

Each distance is also measured with one case at a time, in the same round, for the ratio (`--no-ratios` skips that: it
takes 18 minutes at 100 ms).
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbspec.profile.profile import Endpoint
from tests.support.processes import served

_VERDICT: Final = re.compile(r"(\d+) passed, (\d+) failed, (\d+) warned, (\d+) inconclusive")


@dataclass(frozen=True, slots=True)
class Distance:
    """A run: the proxy's options, the suite's, the relay's, and the longest time in seconds.

    A relay that `lacks` answers doesn't pass.
    """

    proxy: tuple[str, ...]
    limit: float
    suite: tuple[str, ...] = ("--effort", "quick")
    relay: str = ""
    lacks: bool = False


_DRIBBLE: Final = '[[faults]]\nkind = "dribble"\nwhen = { direction = "answer" }\n'
_MISSING: Final = '[[faults]]\nkind = "drop"\nwhen = {{ direction = "answer", message = "{}" }}\n'
_SLOW: Final = '[[faults]]\nkind = "delay"\nseconds = 0.3\nwhen = { direction = "answer" }\n'

DISTANCES: Final = {
    "quick run, loopback": Distance((), 5.0),
    "quick run, 5 ms": Distance(("--round-trip", "0.005"), 10.0),
    "quick run, 20 ms": Distance(("--round-trip", "0.02"), 20.0),
    "quick run, 50 ms": Distance(("--round-trip", "0.05"), 35.0),
    "quick run, 100 ms": Distance(("--round-trip", "0.1"), 60.0),
    "default run, loopback": Distance((), 10.0, ()),
    "default run, 50 ms": Distance(("--round-trip", "0.05"), 120.0, ()),
    "quick run, 20 ms and jitter": Distance(("--round-trip", "0.02", "--jitter", "0.01"), 30.0),
    "quick run, answers byte by byte": Distance((), 60.0, relay=_DRIBBLE),
    "quick run, answers held 60 ms": Distance(("--held", "0.06"), 60.0),
    "quick run, 4 served at once": Distance(("--served", "4"), 60.0),
    "quick run, 1 served at once": Distance(("--served", "1"), 60.0),
    "quick run, each answer after 300 ms": Distance((), 240.0, relay=_SLOW),
    **{
        f"quick run, no {kind}": Distance((), 60.0, relay=_MISSING.format(kind), lacks=True)
        for kind in ("auth_response", "heartbeat_response", "error")
    },
}


@contextlib.contextmanager
def proxied(host: str, port: int, options: Sequence[str]) -> Iterator[str]:
    """Run the proxy in front of a relay, and yield its address; without options, yield the relay's."""
    address = str(Endpoint(host, port))
    if not options:
        yield address
        return
    command = [sys.executable, "-m", "bench.delay", address, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:  # noqa: S603 - our own
        assert proxy.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            yield proxy.stdout.readline().strip()
        finally:
            proxy.terminate()
            print("   ", proxy.stdout.read().strip(), file=sys.stderr)


def measure(distance: Distance, *options: str) -> float:
    """Return the seconds of a run. Raises RuntimeError if the relay passes or not, unlike expected."""
    with (
        tempfile.TemporaryDirectory(prefix="cbspec-bench-") as name,
        served(Path(name), config=distance.relay) as relay,
        proxied(*relay.address, distance.proxy) as address,
    ):
        command = [sys.executable, "-m", "cbspec", "verify", address, "--profile", str(relay.profile_file)]
        began = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own
            [*command, *distance.suite, "--max-time", "3600", *options], capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    found = _VERDICT.search(done.stdout)
    if found is None or ({found[2], found[3], found[4]} == {"0"}) == distance.lacks:
        raise RuntimeError(done.stdout[-4000:] + done.stderr[-1000:])
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line of the table for each distance, and return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench.distance", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(DISTANCES)}")
    parser.add_argument("--no-ratios", action="store_true", help="don't measure one case at a time")
    args = parser.parse_args(arguments)
    met = True
    for name in args.names or DISTANCES:
        distance = DISTANCES[name]
        seconds = measure(distance)
        ratio = "" if args.no_ratios else f"{measure(distance, '--jobs', '1') / seconds:.1f}"
        met &= seconds <= distance.limit
        limit = f"at most {distance.limit:g}: {'met' if seconds <= distance.limit else '**exceeded**'}"
        print(f"| {name} | {seconds:.1f} s | {ratio} | {limit} |", flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
