"""`python -m tests.fuzz`: every target in turn; exit 1 where one breaks, with the input that broke it saved and named.

A saved input is tried again by `python -m tests.fuzz --replay TARGET FILE`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from tests.fuzz.run import MEMORY_MIB, Outcome, run
from tests.fuzz.target import load
from tests.fuzz.targets import NAMES


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say, and return the exit code."""
    args = _parser().parse_args(arguments)
    if args.replay:
        name, file = args.replay
        load(name).check(Path(file).read_bytes())
        print(f"{name}: {file} breaks nothing any more")
        return 0
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1, 2**31)
    names = args.target or NAMES
    parts = sum(load(name).share for name in names)
    began, total, broken = time.monotonic(), 0, 0
    print(f"{args.cases:,} cases, seed {seed}, at most {MEMORY_MIB} MiB")
    for name in names:
        cases = max(1, args.cases * load(name).share // parts)
        outcome = _one(name, cases, seed, keep=args.keep)
        total += outcome.cases
        broken += bool(outcome.wrong)
    verdict = f"{broken} of {len(names)} targets broke" if broken else "nothing broke"
    print(f"{total:,} cases in {time.monotonic() - began:.0f} s: {verdict}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz every layer without I/O.")
    parser.add_argument("--cases", type=int, default=1_000_000, help="in all, by default %(default)s")
    parser.add_argument("--target", action="append", metavar="NAME", help=f"one of {', '.join(NAMES)}; may be repeated")
    parser.add_argument("--seed", type=int, help="makes a run that can be repeated; by default another each time")
    parser.add_argument("--keep", action="store_true", help="add what is new to the corpus, and make that small again")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="try one saved input again, and end")
    return parser


def _one(name: str, cases: int, seed: int, *, keep: bool) -> Outcome:
    began = time.monotonic()
    live = sys.stderr.isatty()

    def tell(outcome: Outcome) -> None:
        rate = outcome.cases / max(0.001, time.monotonic() - began)
        if live:
            print(
                f"\r{name}: {outcome.cases:,} of {cases:,}, {rate:,.0f}/s, {outcome.peak} MiB ", end="", file=sys.stderr
            )

    outcome = run(name, cases, seed, tell, keep=keep)
    if live:
        print("\r\033[K", end="", file=sys.stderr)
    spent = time.monotonic() - began
    print(f"{name}: {outcome.cases:,} cases, {spent:.0f} s, {outcome.settled} to {outcome.peak} MiB", flush=True)
    if outcome.wrong:
        print(f"{outcome.wrong}\n{name} broke", flush=True)
    for file in outcome.kept:
        print(f"  {file}: python -m tests.fuzz --replay {name} {file}", flush=True)
    return outcome


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
