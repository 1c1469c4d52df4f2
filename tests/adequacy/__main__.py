"""`make adequacy`: the suite against every named relay, on both transports.

Exit codes: 0 the suite did what it is for, 1 it did not, 2 wrong usage, 130 interrupted.
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

from tests.adequacy.document import summary, write
from tests.adequacy.ledger import Ledger
from tests.adequacy.matrix import Row
from tests.adequacy.runs import run
from tests.adequacy.subjects import TRANSPORTS, WAITED_FOR, Subject, groups, subjects
from tests.adequacy.suites import fork_server

STATE = Path(__file__).parents[2] / ".adequacy" / "rows.json"
MATRIX = Path(__file__).parents[2] / "docs" / "kill-matrix.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything that is asked for, and write the matrix where that is all there is."""
    parser = argparse.ArgumentParser(prog="make adequacy", description=__doc__)
    parser.add_argument("--jobs", type=int, default=8, metavar="N", help="runs at a time (default: 8; many only wait)")
    parser.add_argument("--match", action="append", metavar="PATTERN", help="only relays of this name, * and ? allowed")
    parser.add_argument("--transport", action="append", choices=TRANSPORTS, help="only on this transport")
    parser.add_argument("--everywhere", action="store_true", help="deviations on both transports (twice the time)")
    parser.add_argument(
        "--trust", action="store_true", help="take over what came out well before, though sources have changed since"
    )
    args = parser.parse_args(arguments)
    chosen = [subject for subject in subjects(everywhere=args.everywhere) if _matches(subject, args.match)]
    if not chosen or args.jobs < 1:
        parser.error(f"no relay is called {' or '.join(args.match)}" if args.jobs > 0 else "--jobs must be 1 or more")
    ledger = Ledger(STATE, subjects(everywhere=True))
    if not args.trust:
        ledger.forget(chosen)
    _run_all(ledger, chosen, args.transport or TRANSPORTS, args.jobs)
    rows = ledger.rows(chosen)
    bad = [row for row in rows if not row.verdict.good]
    print(f"\n{summary(rows)}")
    everything = subjects()
    if all(ledger.has(subject) for subject in everything):
        MATRIX.write_text(write(ledger.rows(everything)), encoding="utf-8")
        print(f"written: {MATRIX.relative_to(MATRIX.parents[1])}")
    for row in bad:
        print(_line(row))
    return 1 if bad else 0


def _matches(subject: Subject, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatch.fnmatch(subject.id, pattern) for pattern in patterns)


def _run_all(ledger: Ledger, chosen: Sequence[Subject], transports: Sequence[str], jobs: int) -> None:
    context, began = fork_server(), time.monotonic()
    wanted = [
        (group, transport)
        for group, transport in itertools.product(groups(chosen), transports)
        if transport in group[0].transports and not all(ledger.is_settled(one, transport) for one in group)
    ]
    # The longest first: none of them is left to run alone in the end.
    wanted.sort(key=lambda each: -max(ledger.seconds(one, each[1]) for one in each[0]))
    finished = 0
    # Those that are waited for all the time wait beside the others, which have the processors to themselves.
    with ThreadPoolExecutor(jobs) as pool, ThreadPoolExecutor(len(WAITED_FOR) * len(TRANSPORTS)) as waiting:
        runs = [
            (waiting if group[0].id in WAITED_FOR else pool).submit(run, context, group, transport)
            for group, transport in wanted
        ]
        try:
            for done in as_completed(runs):
                finished += 1
                minutes = (time.monotonic() - began) / 60
                for row in done.result():
                    ledger.add(row)
                    print(f"{finished:4}/{len(wanted)} {minutes:5.1f} min  {_line(row)}", flush=True)
        except KeyboardInterrupt:
            waiting.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(cancel_futures=True)
            raise


def _line(row: Row) -> str:
    about = f"{row.subject.kind} {row.subject.id} ({row.transport})"
    others = f"blamed: {', '.join(row.others)}" if row.others else ""
    return "  ".join(filter(None, (f"{row.verdict:<16}", about, row.subject.requirement, others, row.remark)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
