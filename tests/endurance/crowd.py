"""`make crowd`: compare the suite's verdicts on the simulator with and without a crowd of other connections.

Each connection of the crowd is authenticated, has a tunnel, and stays for the whole run. Exit codes: 0 same verdicts, 1
different verdicts, or not all of the crowd were served.
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

from cbspec.descriptors import raise_limit
from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import Profile, dump
from tests.support.processes import Served, served

ROOT = Path(__file__).parents[2]
_TENANTS = 10
_POOL = 100  # buffers for the suite
_PATIENCE = 1800.0
_OTHER_DESCRIPTORS = 2000


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """The outcome of each requirement, the suite's seconds, and a description of the crowd."""

    outcomes: Mapping[str, str]
    seconds: float
    crowd: str = ""


def configuration(crowd: int) -> str:
    """Return the simulator's configuration: tenants and buffers for the suite, and others for the crowd."""
    tenants = [f'\n[[tenants]]\nid = "crowd-{number}"\n' for number in range(_TENANTS)] if crowd else []
    suite = dump(Profile(tenants=DEVELOPMENT_TENANTS))
    return f"[relay]\nbuffer_pool = {_POOL + crowd}\n\n{suite[suite.index('[[tenants]]') :]}{''.join(tenants)}"


def suite_profile(profile: Path, crowd: int) -> Path:
    """Write the simulator's profile without the tenants and buffers of the crowd."""
    text = profile.read_text().replace(f"buffer_pool = {_POOL + crowd}\n", f"buffer_pool = {_POOL}\n")
    head, *tenants = text.split("\n[[tenants]]\n")
    kept = [tenant for tenant in tenants if not tenant.startswith('id = "crowd-')]
    file = profile.with_name("suite.toml")
    file.write_text("\n[[tenants]]\n".join([head, *kept]))
    return file


@contextlib.contextmanager
def crowded(relay: Served, count: int, processes: int) -> Iterator[list[str]]:
    """Connect a crowd for the context; its processes' reports are in the list afterwards."""
    reports: list[str] = []
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    with contextlib.ExitStack() as stack:
        guests = []
        for number, share in enumerate(shares):
            tenant, first = f"crowd-{number % _TENANTS}", str(sum(shares[:number]))
            command = [
                sys.executable,
                "-m",
                "tests.endurance.guests",
                str(relay.profile_file),
                str(share),
                first,
                tenant,
            ]
            pipe = subprocess.PIPE
            guests.append(stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)))
            stack.callback(guests[-1].kill)
        for guest in guests:
            assert guest.stdout is not None
            if (said := guest.stdout.readline().strip()) != "here":
                raise RuntimeError(f"the crowd didn't connect: {said or 'its process ended'}")
        yield reports
        reports += [guest.communicate(timeout=_PATIENCE)[0].strip() for guest in guests]  # closes standard input


def judged(folder: Path, profile: Path, options: Sequence[str]) -> tuple[dict[str, str], float]:
    """Run the suite; return the outcome of each requirement and the seconds."""
    results, log = folder / "results.json", folder / "suite.log"
    command = [sys.executable, "-m", "pytest", "conformance/", "--target-profile", str(profile)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}  # no failures stored by earlier runs
    began = time.monotonic()
    with log.open("wb") as output:
        subprocess.run(
            [*command, "--results", str(results), *options],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env=environment,
            timeout=_PATIENCE,
            check=False,
        )
    if not results.exists():
        raise RuntimeError(f"the suite wrote no results:\n{log.read_text(errors='replace')[-2000:]}")
    requirements = json.loads(results.read_text())["requirements"]
    return {name: found["outcome"] for name, found in requirements.items()}, time.monotonic() - began


def run(crowd: int, processes: int, hold: float, options: Sequence[str]) -> SuiteRun:
    """Run the suite with a crowd (0: none) that stays at least `hold` seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="cbspec-crowd-") as name,
        served(Path(name), config=configuration(crowd)) as relay,
    ):
        profile = suite_profile(relay.profile_file, crowd)
        if not crowd:
            return SuiteRun(*judged(Path(name), profile, options))
        empty = relay.holding()
        with crowded(relay, crowd, processes) as reports:
            full, began = relay.holding(), time.monotonic()
            print(f"{crowd} connections are open; the suite begins", flush=True)
            outcomes, seconds = judged(Path(name), profile, options)
            time.sleep(max(0.0, hold - (time.monotonic() - began)))
            stayed = time.monotonic() - began
        told = [json.loads(report) for report in reports if report.startswith("{")]
        if sum(each["served"] for each in told) != crowd or any(each["broken"] for each in told):
            raise RuntimeError(f"not all of the crowd were served correctly: {'; '.join(reports)}")
        memory = (full.memory - empty.memory) / crowd
        return SuiteRun(
            outcomes,
            seconds,
            f"{crowd} connections with a tunnel each, open for {stayed:.0f} s, all served to the end; "
            f"{memory:.1f} KiB each, {full.descriptors} descriptors",
        )


def compared(without: SuiteRun, within: SuiteRun) -> list[str]:
    """Return the requirements with different outcomes, and both outcomes."""
    names, none = sorted({*without.outcomes, *within.outcomes}), "no verdict"
    pairs = [(name, without.outcomes.get(name, none), within.outcomes.get(name, none)) for name in names]
    return [f"{name}: {one} without the crowd, {other} with it" for name, one, other in pairs if one != other]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite without and with a crowd, and compare the verdicts."""
    parser = argparse.ArgumentParser(prog="make crowd", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, metavar="N", help="connections (default: 10000)")
    parser.add_argument("--hold", type=float, default=60.0, metavar="S", help="seconds that it stays (default: 60)")
    parser.add_argument("--processes", type=int, default=4, metavar="K", help="processes of the crowd (default: 4)")
    parser.add_argument("suite", nargs="*", metavar="-- OPTION", help="options of the suite, after --")
    args = parser.parse_args(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < args.connections + _OTHER_DESCRIPTORS:
        parser.error(f"{hard} descriptors (ulimit -Hn) are too few for {args.connections} connections")
    raise_limit()
    try:
        without = run(0, 0, 0.0, args.suite)
        print(f"without a crowd: {dict(Counter(without.outcomes.values()))}, {without.seconds:.1f} s", flush=True)
        within = run(args.connections, args.processes, args.hold, args.suite)
    except RuntimeError as error:
        print(f"crowd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"with a crowd: {dict(Counter(within.outcomes.values()))}, {within.seconds:.1f} s\n{within.crowd}")
    different = compared(without, within)
    print("\n".join(different) or f"the same verdict on all {len(within.outcomes)} requirements")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
