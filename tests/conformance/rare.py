"""Measures how often thorough properties find rare deviations: `make rare`, or this module with --help.

Each deviation is judged with many seeds and without saved examples. It is found if its requirement fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from cbspec_simulator import RARE
from tests.conformance.commands import simulator, verify
from tests.support.results import results_of

CASES = {
    "rare-tunnel-id": "any_tunnel_id or (any_spelling and tunnel_info)",
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
"""The properties that must find each deviation; other cases don't count."""


def main() -> int:
    """Judge the deviations of the command line; return 0 if every seed found each of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.rare", description=__doc__)
    parser.add_argument("ids", nargs="*", default=[*RARE], metavar="ID", help="deviations (default: all)")
    parser.add_argument("--seeds", type=int, default=20, help="number of seeds (default: 20)")
    parser.add_argument("--examples", type=int, help="examples of each property (default: as in the thorough effort)")
    args = parser.parse_args()
    more = ["--examples", str(args.examples)] if args.examples else []
    missed: dict[str, list[int]] = {}
    for id_ in args.ids:
        with tempfile.TemporaryDirectory() as name, simulator(Path(name), "--deviation", id_) as profile:
            missed[id_] = [seed for seed in range(args.seeds) if not found(id_, profile, seed, more)]
        print(f"{id_:32}{args.seeds - len(missed[id_]):3} of {args.seeds}   missed: {missed[id_]}", flush=True)
    return 1 if any(missed.values()) else 0


def found(id_: str, profile: Path, seed: int, more: list[str]) -> bool:
    """Judge a relay with a rare deviation under one seed, and return whether it was found."""
    with tempfile.TemporaryDirectory() as name:
        results = Path(name) / "results.jsonl"
        options = ["--effort", "thorough", "--seed", str(seed), "-x", "-k", CASES[id_], "--results", str(results)]
        target = ["--profile", str(profile)]
        done = verify(*target, *options, *more, folder=Path(name), patience=None, XDG_CACHE_HOME=name)
        if not results.exists():
            raise RuntimeError(done.text)
        verdicts = results_of(results)["requirements"]
        return verdicts[RARE[id_].requirement]["outcome"] in ("failed", "warned")


if __name__ == "__main__":
    sys.exit(main())
