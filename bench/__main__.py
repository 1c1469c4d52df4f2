"""`python -m bench`: measures the targets, writes docs/benchmarks.md, and fails where a target is missed."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from bench import growth, idle, sessions, steady, suite
from bench.document import write
from bench.figures import Figure, Plan, Target
from cbspec.descriptors import take_all

TARGETS: Final = (sessions.TARGET, steady.TARGET, idle.TARGET, growth.TARGET, suite.TARGET)
_DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("targets", nargs="*", type=int, metavar="TARGET", help="targets by number (default: all)")
    parser.add_argument("--rounds", type=int, default=10, help="how often each is measured (default: %(default)s)")
    args = parser.parse_args(argv)
    take_all()  # servers and clients inherit it
    known = {target.number: target for target in TARGETS}
    if unknown := [number for number in args.targets if number not in known]:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(map(str, known))}")
    if args.rounds < 1:
        parser.error("--rounds: 1 or more")
    chosen = [known[number] for number in args.targets] or list(TARGETS)
    measured = {target: _measured(target, args.rounds) for target in chosen}
    if len(chosen) == len(TARGETS):
        _DOCUMENT.write_text(write(measured, args.rounds), encoding="utf-8")
    else:
        print(f"{_DOCUMENT.name} is written only when every target was measured", file=sys.stderr)
    return 0 if all(figure.met for figures in measured.values() for figure in figures) else 1


def _measured(target: Target, rounds: int) -> list[Figure]:
    began = time.monotonic()

    def progress(said: str) -> None:
        print(f"  target {target.number}: {said} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)

    figures = target.measure(Plan(rounds, progress))
    print(f"{target.number}. {target.title}")
    for figure in figures:
        print(f"   {figure}", flush=True)
    return figures


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
