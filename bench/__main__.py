"""`python -m bench`: run the benchmarks and write docs/reference/benchmarks.md; exit code 1 if a limit is exceeded."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Final, NamedTuple

from bench import crowd
from bench.machine import machine
from cbspec.descriptors import raise_limit

ROOT: Final = Path(__file__).parents[1]
_DOCUMENT: Final = ROOT / "docs" / "reference" / "benchmarks.md"
_ABOUT: Final = """\
# Benchmarks

<!-- Written by `make bench`; the explanations are in bench/story.md. -->

Processor time of the server process, of the client for the suite's sessions, measured by pyperf in {rounds} rounds; the
peers of a ratio are measured in the same round. The table shows the median of the rounds and their range.
"""


class Figure(NamedTuple):
    """One line of the table; `samples` has one value per round."""

    name: str
    samples: Sequence[float]
    limit: float | None
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the median is within the limit."""
        return self.limit is None or median(self.samples) <= self.limit

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"at most {self.limit:g}: {'met' if self.met else '**exceeded**'}"
        cells = (self.name, f"{median(self.samples):.2f} {self.unit}".strip())
        return "| " + " | ".join((*cells, f"{min(self.samples):.2f} to {max(self.samples):.2f}", limit)) + " |"


RATIOS: Final = (
    ("session / TLS handshake alone", "session", "handshake", 1.5),
    ("session / the same exchanges on Node's tls module", "session", "session, Node", 1.0),
    ("heartbeat, TCP / echo on the same TLS layer", "heartbeat, TCP", "echo, TCP", 1 / 0.7),
    ("heartbeat, WebSocket / echo of the websockets package", "heartbeat, WebSocket", "echo, websockets", 1.0),
    ("judged session of the suite / blocking client", "session of the suite", "session, blocking client", 1.5),
)
LIMITS: Final = {"start-up": 0.5, "whole run of the suite": 20.0, "quick run of the suite": 5.0}


def rows(times: dict[str, list[float]]) -> Iterator[Figure]:
    """Return the lines for pyperf's results, seconds by benchmark."""
    for name, over, under, limit in RATIOS:
        if over in times and under in times:
            yield Figure(name, [one / other for one, other in zip(times[over], times[under], strict=True)], limit)
    for name, samples in times.items():
        if name in LIMITS:
            yield Figure(name, samples, LIMITS[name], "s")
        else:
            yield Figure(name, [1e6 * sample for sample in samples], None, "µs")


def measured(rounds: int, *options: str) -> dict[str, list[float]]:
    """Run the pyperf benchmarks in rounds; return the mean of each benchmark in each round, in seconds."""
    import pyperf  # of the extra `bench`

    with tempfile.TemporaryDirectory(prefix="cbspec-bench-") as folder:
        results = str(Path(folder, "results.json"))
        for _ in range(rounds):
            common = ["--append", results, "--processes", "1"]
            _run("bench.speed", "--values", "3", "--warmups", "1", *common, *options)
            if not options:
                for effort, name in (("default", "whole"), ("quick", "quick")):
                    suite = [sys.executable, "-m", "pytest", str(ROOT / "conformance"), "--effort", effort]
                    once = ["--values", "1", "--warmups", "0", "--loops", "1", "--name", f"{name} run of the suite"]
                    _run("pyperf", "command", *once, *common, "--", *suite)
        suite_ = pyperf.BenchmarkSuite.load(results)
    return {
        each.get_name(): [mean(run.values) for run in each.get_runs() if run.values] for each in suite_.get_benchmarks()
    }


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, cwd=ROOT)  # noqa: S603 - our own


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the document, and return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each benchmark runs (default: %(default)s)")
    args = parser.parse_args(arguments)
    raise_limit()  # the servers inherit the descriptor limit
    found = list(rows(measured(args.rounds)))
    for name, value in crowd.measure().items():
        found.append(Figure(name, [value], 25.0 if "KiB" in name else 1.15))
    table = ["| figure | median | range | limit |", "| --- | --- | --- | --- |", *map(str, found)]
    about = _ABOUT.format(rounds=args.rounds)
    facts = "\n".join(f"- {fact}" for fact in machine())
    story = (ROOT / "bench" / "story.md").read_text(encoding="utf-8")
    _DOCUMENT.write_text("\n".join([about, *table, "", "## The machine", "", facts, "", story]), encoding="utf-8")
    print("\n".join(table))
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
