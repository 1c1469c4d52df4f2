"""`make adequacy`: judge the suite by every named relay, on both transports.

Exit codes: 0 every relay got the right verdict, 1 one did not, 2 wrong usage, 130 interrupted.
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

from tests.adequacy.matrix import MatrixRow, load, save, summary, write
from tests.adequacy.runs import LOGS, run
from tests.adequacy.subjects import TRANSPORTS, WAITED_FOR, Subject, groups, subjects
from tests.adequacy.suites import fork_server

STATE = LOGS / "rows.json"
MATRIX = Path(__file__).parents[2] / "docs" / "kill-matrix.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the relays that are asked for, and write the matrix if there is a row for each relay."""
    parser = argparse.ArgumentParser(prog="make adequacy", description=__doc__)
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="runs at a time (default: 8; many only wait)")
    parser.add_argument("--match", action="append", metavar="PATTERN", help="relays to judge (default: all); * and ?")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="transport of the cases")
    parser.add_argument("--everywhere", action="store_true", help="judge deviations on both transports")
    args = parser.parse_args(arguments)
    everything = subjects(everywhere=args.everywhere)
    chosen = [
        subject
        for subject in everything
        if args.match is None or any(fnmatch.fnmatch(subject.id, pattern) for pattern in args.match)
    ]
    if not chosen or args.jobs < 1:
        parser.error(f"no relay is called {' or '.join(args.match)}" if args.jobs > 0 else "--jobs must be 1 or more")
    earlier = {(row.subject, row.transport): row for row in load(STATE, everything)}
    fresh = _run_all(earlier, chosen, args.transport or TRANSPORTS, args.jobs)
    print(f"\n{summary(fresh)}")
    rows = {**earlier, **{(row.subject, row.transport): row for row in fresh}}
    save(STATE, rows.values())
    if all((subject, transport) in rows for subject in subjects() for transport in subject.transports):
        MATRIX.write_text(write(list(rows.values())), encoding="utf-8")
        print(f"written: {MATRIX.relative_to(MATRIX.parents[1])}")
    bad = [row for row in fresh if not row.verdict.good]
    for row in bad:
        print(_line(row))
    return 1 if bad else 0


def _run_all(
    earlier: dict[tuple[Subject, str], MatrixRow], chosen: Sequence[Subject], transports: Sequence[str], jobs: int
) -> list[MatrixRow]:
    context, began = fork_server(), time.monotonic()
    wanted = [
        (group, transport)
        for group, transport in itertools.product(groups(chosen), transports)
        if transport in group[0].transports
    ]
    seconds = {key: row.seconds for key, row in earlier.items()}
    wanted.sort(key=lambda each: -max(seconds.get((one, each[1]), 0.0) for one in each[0]))
    rows: list[MatrixRow] = []
    # Runs that mostly wait have a pool of their own: they don't need the processors.
    with ThreadPoolExecutor(jobs) as pool, ThreadPoolExecutor(len(WAITED_FOR) * len(TRANSPORTS)) as waiting:
        runs = [
            (waiting if group[0].id in WAITED_FOR else pool).submit(run, context, group, transport)
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
