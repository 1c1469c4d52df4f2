"""`make mutants`: the suite against every mutant of the relay's source.

Exit codes: 0 every survivor has its reason, 1 one has none or one that was given is needed no more, 2 wrong usage,
130 interrupted: the next run goes on from there.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.adequacy.mutants.document import write
from tests.adequacy.mutants.known import Known, read
from tests.adequacy.mutants.mutations import Mutant, mutants_of
from tests.adequacy.mutants.runs import run
from tests.adequacy.mutants.verdicts import Kept, Verdict, complaints
from tests.adequacy.suites import fork_server

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "mutants.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every mutant that is asked for, and write the document where that is all there are."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="runs at a time (default: 4; many only wait)")
    parser.add_argument("--match", metavar="PATTERN", help="only mutants whose id matches, * and ? allowed")
    parser.add_argument("--list", action="store_true", help="list the mutants, and exit")
    parser.add_argument(
        "--trust", action="store_true", help="take over what was killed before, though sources have changed since"
    )
    args = parser.parse_args(arguments)
    known = read()
    mutants = [mutant for mutant in find(known) if args.match is None or fnmatch.fnmatch(mutant.id, args.match)]
    if not mutants or args.jobs < 1:
        parser.error(f"no mutant matches {args.match}" if args.jobs > 0 else "--jobs must be 1 or more")
    if args.list:
        print("\n".join(mutant.id for mutant in mutants))
        return 0
    os.nice(10)  # runs wait more than they work, and whoever works beside them shouldn't
    verdicts = _judge(mutants, Kept.open(ROOT, trust=args.trust), args.jobs)
    if args.match is None:
        DOCUMENT.write_text(write(known, mutants, verdicts), encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(ROOT)}")
    found = complaints(known, verdicts, whole=args.match is None)
    print("\n".join(found or ["every survivor has its reason"]))
    return 1 if found else 0


def find(known: Known) -> Iterable[Mutant]:
    """Give every mutant that is to be judged."""
    for file in known.modules:
        yield from (mutant for mutant in mutants_of(ROOT, file) if not known.is_left_out(file, mutant.scope))


def _judge(mutants: Sequence[Mutant], kept: Kept, jobs: int) -> dict[str, Verdict]:
    wanted = [mutant for mutant in mutants if mutant.id not in kept.verdicts]
    print(f"{len(mutants)} mutants, {len(mutants) - len(wanted)} judged before", flush=True)
    context, began = fork_server(), time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(run, context, ROOT, mutant) for mutant in wanted]
        try:
            for number, done in enumerate(as_completed(runs), 1):
                verdict = done.result()
                kept.add(verdict)
                minutes = (time.monotonic() - began) / 60
                said = verdict.by if verdict.killed else "SURVIVED"
                print(f"{number:5}/{len(wanted)} {minutes:5.1f} min  {said:<24}  {verdict.mutant}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return {mutant.id: kept.verdicts[mutant.id] for mutant in mutants}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
