"""Measures how surely thorough properties find rare deviations: `make rare`, or this module with --help.

Each deviation is judged under many seeds, each time from nothing kept. It is found where its own requirement fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulator import RARE
from tests.conformance.commands import simulator

CASES = {
    "rare-tunnel-id": "any_tunnel_id",
    "rare-seventh-heartbeat": "any_order and tenants",
    "rare-second-connection": "any_order and tenants",
    "rare-ports": "near_misses and TUN-010",
    "rare-escape": "any_spelling and tunnel_info",
    "rare-cut": "any_spelling and tcp",
    "rare-signature": "damaged_tokens and text",
    "rare-colons": "damaged_texts",
    "rare-uncounted-tunnel": "any_order and tenants",
    "rare-heartbeat-after-refusals": "any_order and tenants",
}
"""The properties that are to find each: what other cases find by the way doesn't count."""


def main() -> int:
    """Try what the command line asks for; return 0 where everything was found under every seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.rare", description=__doc__)
    parser.add_argument("ids", nargs="*", default=[*RARE], metavar="ID", help="deviations (default: all)")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default: 20)")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (default: 1)")
    parser.add_argument("--examples", type=int, help="instead of the thorough effort's")
    args = parser.parse_args()
    missed = False
    for id_ in args.ids:
        with ThreadPoolExecutor(args.jobs) as pool:
            results = list(pool.map(lambda seed, id_=id_: found(id_, seed, args.examples), range(args.seeds)))
        seconds = [took for _, took in results]
        count = sum(hit for hit, _ in results)
        missed |= count < args.seeds
        print(f"{id_:32}{count:3} of {args.seeds}   {min(seconds):.0f} to {max(seconds):.0f} s a run", flush=True)
    return int(missed)


def found(id_: str, seed: int, examples: int | None) -> tuple[bool, float]:
    """Judge a relay with a rare deviation under one seed; return whether it was found, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = folder / "results.json"
        with simulator(folder, "--deviation", id_) as profile:
            began = time.monotonic()
            options = ["--effort", "thorough", "--seed", str(seed), "-k", CASES[id_], "--results", str(results)]
            more = ["--examples", str(examples)] if examples else []
            command = [sys.executable, "-m", "cbspec", "verify", "--target-profile", str(profile), *options, *more]
            environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            took = time.monotonic() - began
        if not results.exists():
            raise RuntimeError(done.stdout + done.stderr)
        verdicts = json.loads(results.read_text())["requirements"]
        return verdicts[RARE[id_].requirement]["outcome"] in ("failed", "warned"), took


if __name__ == "__main__":
    sys.exit(main())
