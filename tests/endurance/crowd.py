"""`make crowd`: the suite's verdicts on the simulator, with a crowd of connections on it and without.

Every one of the crowd has authenticated, has a tunnel, and stays for the whole run and a minute at least. Exit codes: 0
the verdicts are the same, 1 they are not, or not all of the crowd were served.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cbspec.descriptors import take_all
from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import Profile, dump
from tests.support.processes import Served, served

ROOT = Path(__file__).parents[2]
_TENANTS = 10
_POOL = 100  # buffers that the suite is to find, beside the crowd's
_PATIENCE = 1800.0
_SPARE = 2000  # descriptors that a process needs besides


@dataclass(frozen=True, slots=True)
class Run:
    """The outcome of each requirement, how long the suite took (seconds), and what is to be said of the crowd."""

    outcomes: Mapping[str, str]
    seconds: float
    crowd: str = ""


def configuration(crowd: int) -> str:
    """Return the simulator's: the suite's tenants and buffers, and the crowd's own beside them."""
    tenants = [f'\n[[tenants]]\nid = "crowd-{number}"\n' for number in range(_TENANTS)] if crowd else []
    suite = dump(Profile(tenants=DEVELOPMENT_TENANTS))
    return f"[relay]\nbuffer_pool = {_POOL + crowd}\n\n{suite[suite.index('[[tenants]]') :]}{''.join(tenants)}"


def for_the_suite(told: Path, crowd: int) -> Path:
    """Return a profile in which there is no crowd: what it holds isn't there for the suite."""
    text = told.read_text().replace(f"buffer_pool = {_POOL + crowd}\n", f"buffer_pool = {_POOL}\n")
    head, *tenants = text.split("\n[[tenants]]\n")
    kept = [tenant for tenant in tenants if not tenant.startswith('id = "crowd-')]
    file = told.with_name("suite.toml")
    file.write_text("\n[[tenants]]\n".join([head, *kept]))
    return file


@contextlib.contextmanager
def crowded(relay: Served, count: int, processes: int) -> Iterator[list[str]]:
    """Have a crowd on the relay; what it was like stands in the list once the context is left."""
    words: list[str] = []
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    guests: list[subprocess.Popen[str]] = []
    try:
        for number, share in enumerate(shares):
            first = sum(shares[:number])
            command = [sys.executable, "-m", "tests.endurance.guests", str(relay.profile_file), str(share), str(first)]
            guests.append(
                subprocess.Popen(
                    [*command, f"crowd-{number % _TENANTS}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
            )
        for guest in guests:
            assert guest.stdout is not None
            if (said := guest.stdout.readline().strip()) != "here":
                raise RuntimeError(f"the crowd didn't come: {said or 'its process ended'}")
        yield words
        words += [guest.communicate(timeout=_PATIENCE)[0].strip() for guest in guests]  # closes their standard input
    finally:
        for guest in guests:
            if guest.poll() is None:
                guest.kill()
                guest.communicate()


def judged(folder: Path, profile: Path, options: Sequence[str]) -> tuple[dict[str, str], float]:
    """Return the outcome of each requirement, and how long the suite took."""
    results, log = folder / "results.json", folder / "suite.log"
    command = [sys.executable, "-m", "pytest", "conformance/", "--target-profile", str(profile)]
    began = time.monotonic()
    with log.open("wb") as said:
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}  # no run learns from the failures of another
        subprocess.run(
            [*command, "--results", str(results), *options],
            cwd=ROOT,
            stdout=said,
            stderr=said,
            env=environment,
            timeout=_PATIENCE,
            check=False,
        )
    if not results.exists():
        raise RuntimeError(f"the suite gave no results:\n{log.read_text(errors='replace')[-2000:]}")
    requirements = json.loads(results.read_text())["requirements"]
    return {name: found["outcome"] for name, found in requirements.items()}, time.monotonic() - began


def run(crowd: int, processes: int, hold: float, options: Sequence[str]) -> Run:
    """Judge a simulator with a crowd of so many on it (0: none), who stay `hold` seconds at least."""
    with (
        tempfile.TemporaryDirectory(prefix="cbspec-crowd-") as name,
        served(Path(name), config=configuration(crowd)) as relay,
    ):
        folder = Path(name)
        profile = for_the_suite(relay.profile_file, crowd)
        if not crowd:
            return Run(*judged(folder, profile, options))
        at_first, began = relay.holding(), time.monotonic()
        with crowded(relay, crowd, processes) as words:
            here, came = relay.holding(), time.monotonic() - began
            began = time.monotonic()
            print(f"{crowd} connections are there after {came:.0f} s; the suite begins", flush=True)
            outcomes, seconds = judged(folder, profile, options)
            time.sleep(max(0.0, hold - (time.monotonic() - began)))
            stayed = time.monotonic() - began
        told = [json.loads(word) for word in words if word.startswith("{")]
        if sum(word["served"] for word in told) != crowd or any(word["broken"] for word in told):
            raise RuntimeError(f"not all of the crowd were served as they should be: {'; '.join(words)}")
        each = (here.memory - at_first.memory) / crowd
        said = (
            f"{crowd} connections with a tunnel each held for {stayed:.0f} s by one process, all served to the end, "
            f"{each:.1f} KiB each; {here.descriptors} descriptors"
        )
        return Run(outcomes, seconds, said)


def compared(without: Run, within: Run) -> list[str]:
    """Return the requirements whose outcome isn't the same, with both."""
    names = sorted({*without.outcomes, *within.outcomes})
    nothing = "no verdict"
    pairs = [(name, without.outcomes.get(name, nothing), within.outcomes.get(name, nothing)) for name in names]
    return [f"{name}: {one} without the crowd, {other} within it" for name, one, other in pairs if one != other]


def table(without: Run, within: Run) -> str:
    """Return how many requirements came out how, in both runs."""
    counts = Counter(without.outcomes.values()), Counter(within.outcomes.values())
    lines = [f"{'':<16}{'without':>10}{'within':>10}"]
    lines += [f"{name:<16}{counts[0][name]:>10}{counts[1][name]:>10}" for name in sorted({*counts[0], *counts[1]})]
    lines.append(f"{'seconds':<16}{without.seconds:>10.1f}{within.seconds:>10.1f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite without a crowd and within one, and say whether it makes a difference."""
    parser = argparse.ArgumentParser(prog="make crowd", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, metavar="N", help="of the crowd (default: 10000)")
    parser.add_argument("--hold", type=float, default=60.0, metavar="S", help="seconds that they stay (default: 60)")
    parser.add_argument("--processes", type=int, default=4, metavar="K", help="that the crowd comes from (default: 4)")
    parser.add_argument("suite", nargs="*", metavar="-- OPTION", help="options of the suite's, after --")
    args = parser.parse_args(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < args.connections + _SPARE:
        parser.error(f"{hard} descriptors (ulimit -Hn) are too few for {args.connections} connections")
    take_all()
    try:
        without = run(0, 0, 0.0, args.suite)
        print(f"without a crowd: {dict(Counter(without.outcomes.values()))}, {without.seconds:.1f} s", flush=True)
        within = run(args.connections, args.processes, args.hold, args.suite)
    except RuntimeError as error:
        print(f"crowd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{within.crowd}\n{table(without, within)}")
    different = compared(without, within)
    print("\n".join(different) or f"the same verdict on all {len(within.outcomes)} requirements")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
