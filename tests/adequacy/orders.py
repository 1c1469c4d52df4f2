"""The same relay judged several times gets the same verdicts.

`make adequacy ARGS=--orders`: without a restart, each time in another random order, by one process, four of xdist's, or
four at once.
`make adequacy ARGS=--at-once`: with one case at a time, eight, and thirty-two; at a distance with `--round-trip 0.02`.
Each run has a new relay, since some keep what an earlier run has used up.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from bench.distance import proxied
from cbspec.profile.profile import load
from tests.adequacy.runs import SUITE, NoResults, relay, results
from tests.adequacy.subjects import WAITED_FOR, Subject, SubjectKind

Runs = Sequence[Sequence[str]]
"""The options of the runs of one relay."""

ORDERS: Runs = (("--shuffle=1", "--jobs", "1"), ("--shuffle=2", "-n", "4"), ("--shuffle=3", "--jobs", "4"))
AT_ONCE: Runs = (("--jobs", "1"), ("--jobs", "8"), ("--jobs", "32"))

_FEW = {SubjectKind.CLEAN: 1, SubjectKind.VARIANT: 10, SubjectKind.DEVIATION: 30}
_MANY = {SubjectKind.CLEAN: 1, SubjectKind.VARIANT: 1000, SubjectKind.DEVIATION: 100}


def chosen(subjects: Sequence[Subject], runs: Runs) -> Iterator[Subject]:
    """Yield a fixed sample for some runs, evenly spread over the catalogue."""
    for kind, count in (_FEW if runs is ORDERS else _MANY).items():
        those = [each for each in subjects if each.kind is kind and each.id not in WAITED_FOR]
        yield from those[:: max(1, len(those) // count)][:count]


def compare(context: ForkServerContext, subjects: Sequence[Subject], jobs: int, options: Runs, trip: float) -> int:
    """Judge each relay several times, print each result, and return how many relays got different verdicts.

    `trip` is the time of a round trip in seconds, which a proxy adds (0: there is no proxy).
    """
    different = 0
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(_differences, context, subject, options, trip): subject for subject in subjects}
        for number, done in enumerate(as_completed(runs), start=1):
            subject, found = runs[done], done.result()
            different += bool(found)
            what = "; ".join(found) or "the same verdicts"
            print(f"{number:4}/{len(subjects)}  {subject.kind} {subject.id}: {what}", flush=True)
    return different


def _differences(context: ForkServerContext, subject: Subject, options: Runs, trip: float) -> list[str]:
    """Return the requirements with different results, each with its results, or the reason for no result."""
    try:
        outcomes = [
            outcome
            for of_one_relay in ([options] if options is ORDERS else [[own] for own in options])
            for outcome in _outcomes_of(context, subject, of_one_relay, trip)
        ]
    except NoResults as reason:
        return [str(reason)]
    return _different(outcomes)


def _outcomes_of(
    context: ForkServerContext, subject: Subject, options: Runs, trip: float
) -> Sequence[Mapping[str, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="cbspec-orders-") as name,
        relay(context, Path(name), [subject]) as profile,
        _address(profile, trip) as address,
    ):
        where = ("--target-profile", str(profile), f"--target={address}")
        return list(_runs(context, Path(name), where, options))


def _address(profile: Path, trip: float) -> AbstractContextManager[str]:
    address = load(profile).target.address
    if address is None:
        raise NoResults("the relay's profile has no address")
    return proxied(address.host, address.port, ("--round-trip", str(trip)) if trip else ())


def _runs(context: ForkServerContext, folder: Path, where: Sequence[str], options: Runs) -> Iterator[Mapping[str, str]]:
    for number, own in enumerate(options):
        of_one = folder / str(number)
        of_one.mkdir()
        yield _outcomes(results(context, of_one, *where, "--effort", "quick", *own, str(SUITE)))


def _outcomes(run: Mapping[str, Any]) -> dict[str, str]:
    return {id_: found["outcome"] for id_, found in run["requirements"].items()}


def _different(runs: Sequence[Mapping[str, str]]) -> list[str]:
    ids = sorted(set(itertools.chain(*runs)))
    outcomes = {id_: [run.get(id_, "none") for run in runs] for id_ in ids}
    return [f"{id_} {', '.join(found)}" for id_, found in outcomes.items() if len(set(found)) > 1]
