"""`make adequacy`: judge the suite by every named relay.

Exit codes: 0 every relay got the right verdict, 1 at least one did not, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.adequacy import orders
from tests.adequacy.matrix import MatrixRow, summary, write
from tests.adequacy.runs import run
from tests.adequacy.subjects import TRANSPORTS, WAITED_FOR, Subject, groups, subjects
from tests.support.forked import fork_server

MATRIX = Path(__file__).parents[2] / "docs" / "reference" / "kill-matrix.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the selected relays, and write the matrix after a complete run."""
    parser = argparse.ArgumentParser(prog="make adequacy", description=__doc__)
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="parallel runs (default: 8; many only wait)")
    parser.add_argument("--match", action="append", metavar="PATTERN", help="relays to judge, on both transports")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="transport of the cases")
    parser.add_argument("--everywhere", action="store_true", help="judge deviations on both transports")
    parser.add_argument(
        "--whole", action="store_true", help="judge deviations by all cases, to see what else is blamed"
    )
    parser.add_argument("--orders", action="store_true", help="judge a sample in several random orders instead")
    parser.add_argument("--at-once", action="store_true", help="judge a sample with 1, 8 and 32 cases at once instead")
    parser.add_argument("--round-trip", type=float, default=0.0, metavar="SECONDS", help="with --at-once: a distance")
    args = parser.parse_args(arguments)
    everything = subjects(everywhere=args.everywhere or args.match is not None)
    patterns = args.match or ["*"]
    chosen = [each for each in everything if any(fnmatch.fnmatch(each.id, pattern) for pattern in patterns)]
    if not chosen or args.jobs < 1:
        parser.error(f"no relay is called {' or '.join(patterns)}" if args.jobs > 0 else "--jobs must be 1 or more")
    if args.orders or args.at_once:
        runs = orders.ORDERS if args.orders else orders.AT_ONCE
        sample = chosen if args.match else list(orders.chosen(chosen, runs))
        return 1 if orders.compare(fork_server(), sample, args.jobs, runs, args.round_trip) else 0
    rows = _run_all(chosen, args.transport or TRANSPORTS, args.jobs, whole=args.whole)
    print(f"\n{summary(rows)}")
    if not (args.match or args.transport or args.everywhere or args.whole):
        MATRIX.write_text(write(rows), encoding="utf-8")
        print(f"written: {MATRIX.relative_to(MATRIX.parents[1])}")
    bad = [row for row in rows if not row.verdict.good]
    for row in bad:
        print(_line(row))
    return 1 if bad else 0


def _run_all(chosen: Sequence[Subject], transports: Sequence[str], jobs: int, *, whole: bool) -> list[MatrixRow]:
    context, began = fork_server(), time.monotonic()
    wanted = [each for each in itertools.product(groups(chosen), transports) if each[1] in each[0][0].transports]
    rows: list[MatrixRow] = []
    # Runs that mostly wait have a pool of their own: they don't need the processors.
    with ThreadPoolExecutor(jobs) as pool, ThreadPoolExecutor(len(WAITED_FOR) * len(TRANSPORTS)) as waiting:
        runs = [
            (waiting if group[0].id in WAITED_FOR else pool).submit(run, context, group, transport, whole=whole)
            for group, transport in wanted
        ]
        try:
            for number, done in enumerate(as_completed(runs), start=1):
                for row in done.result():
                    rows.append(row)
                    minutes = (time.monotonic() - began) / 60
                    print(f"{number:4}/{len(wanted)} {minutes:5.1f} min  {_line(row)}", flush=True)
        except KeyboardInterrupt:
            waiting.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(cancel_futures=True)
            raise
    return rows


def _line(row: MatrixRow) -> str:
    about = f"{row.subject.kind} {row.subject.id} ({row.transport})"
    others = f"blamed: {', '.join(row.others)}" if row.others else ""
    return "  ".join(filter(None, (f"{row.verdict:<16}", about, row.subject.requirement, others, row.remark)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
