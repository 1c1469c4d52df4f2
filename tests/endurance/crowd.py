"""`make crowd`: compare the suite's verdicts on the simulator with and without a crowd of other connections.

Each connection of the crowd is authenticated, has a tunnel, and stays for the whole run. Exit codes: 0 same verdicts, 1
different verdicts, or not all of the crowd were served.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cbspec.descriptors import raise_limit
from cbspec.profile.identity import DEVELOPMENT_TENANTS
from cbspec.profile.profile import Profile, Tenant, dump, load
from tests.support.processes import Served, served
from tests.support.results import results_of

ROOT = Path(__file__).parents[2]
TENANTS = [f"crowd-{number}" for number in range(10)]
_POOL = 100  # buffers for the suite
_PATIENCE = 1800.0


def configuration(crowd: int) -> str:
    """Return the simulator's configuration: tenants and buffers for the suite, and others for the crowd."""
    tenants = (*DEVELOPMENT_TENANTS, *map(Tenant, TENANTS if crowd else ()))
    text = dump(Profile(tenants=tenants))
    return f"[relay]\nbuffer_pool = {_POOL + crowd}\n\n{text[text.index('[[tenants]]') :]}"


def suite_profile(file: Path) -> Path:
    """Write the simulator's profile without the tenants and buffers of the crowd."""
    profile, path = load(file), file.with_name("suite.toml")
    tenants = tuple(tenant for tenant in profile.tenants if tenant.id not in TENANTS)
    path.write_text(dump(replace(profile, tenants=tenants, relay=replace(profile.relay, buffer_pool=_POOL))))
    return path


@contextlib.contextmanager
def crowded(relay: Served, count: int) -> Iterator[None]:
    """Hold a crowd of `cbspec load` for the context. Raises RuntimeError if not all of it are served to the end."""
    command = [sys.executable, "-P", "-m", "cbspec", "load", "--profile", str(relay.profile_file)]
    command += ["--sessions", str(count), "--rate", "200", "--hold", "86400", "--heartbeat", "30", "--timeout", "60"]
    command += [f"--tenant={name}" for name in TENANTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as crowd:
        try:
            deadline = time.monotonic() + _PATIENCE
            while relay.call("GET", "/health")["buffers"] < count:
                if crowd.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the crowd didn't connect")
                time.sleep(0.2)
            yield
            crowd.send_signal(signal.SIGINT)
            report = crowd.communicate(timeout=_PATIENCE)[0]
        finally:
            crowd.kill()
    if f" 0 failed, {count} interrupted" not in report or "no protocol violation" not in report:
        raise RuntimeError(f"not all of the crowd were served correctly: {report}")


def judged(folder: Path, profile: Path, options: Sequence[str]) -> dict[str, str]:
    """Run the suite; return the outcome of each requirement."""
    results, log = folder / "results.jsonl", folder / "suite.log"
    command = [sys.executable, "-m", "pytest", "conformance/", "--target-profile", str(profile)]
    command += ["--results", str(results), *options]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}  # no failures stored by earlier runs
    with log.open("wb") as output:
        subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, env=environment, timeout=_PATIENCE, check=False)
    if not results.exists():
        raise RuntimeError(f"the suite wrote no results:\n{log.read_text(errors='replace')[-2000:]}")
    return {name: found["outcome"] for name, found in results_of(results)["requirements"].items()}


def run(crowd: int, options: Sequence[str]) -> dict[str, str]:
    """Run the suite with a crowd (0: none), and print a summary; return the outcome of each requirement."""
    with tempfile.TemporaryDirectory(prefix="cbspec-crowd-") as name, contextlib.ExitStack() as stack:
        relay = stack.enter_context(served(Path(name), "--control", "0", config=configuration(crowd)))
        profile, empty = suite_profile(relay.profile_file), relay.holding()
        if crowd:
            stack.enter_context(crowded(relay, crowd))
            full = relay.holding()
            memory = (full.memory - empty.memory) / crowd
            print(f"{crowd} connections with a tunnel each: {memory:.1f} KiB each, {full.descriptors} descriptors")
        began = time.monotonic()
        outcomes = judged(Path(name), profile, options)
        print(f"{dict(Counter(outcomes.values()))}, {time.monotonic() - began:.1f} s", flush=True)
    return outcomes


def compared(without: Mapping[str, str], within: Mapping[str, str]) -> list[str]:
    """Return the requirements with different outcomes, and both outcomes."""
    names, none = sorted({*without, *within}), "no verdict"
    pairs = [(name, without.get(name, none), within.get(name, none)) for name in names]
    return [f"{name}: {one} without the crowd, {other} with it" for name, one, other in pairs if one != other]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite without and with a crowd, and compare the verdicts."""
    parser = argparse.ArgumentParser(prog="make crowd", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, metavar="N", help="connections (default: 10000)")
    parser.add_argument("suite", nargs="*", metavar="-- OPTION", help="options of the suite, after --")
    args = parser.parse_args(arguments)
    raise_limit()
    try:
        without, within = run(0, args.suite), run(args.connections, args.suite)
    except RuntimeError as error:
        print(f"crowd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    different = compared(without, within)
    print("\n".join(different) or f"the same verdict on all {len(within)} requirements")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
