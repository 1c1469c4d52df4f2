"""`python -m tests.fuzz`: run atheris (libFuzzer) on each target in turn; exit code 1 if a target fails.

The input that fails is saved in .fuzz/; `python -m tests.fuzz.harness TARGET FILE` runs it again.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.target import FOLDER, TARGETS, Target, read_corpus

FOUND = Path(".fuzz")
_SECONDS = 10  # for one input
_MEMORY = 512  # MiB


def fuzz(name: str, cases: int, seed: int, *, longest: int) -> bool:
    """Run a target; return whether it passed."""
    FOUND.mkdir(exist_ok=True)
    dictionary = FOLDER / "dictionaries" / f"{name}.txt"
    # The peak memory of a new process counts from that of its parent.
    memory = _MEMORY + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    options = [f"-runs={cases}", f"-seed={seed}", f"-max_len={longest}", f"-timeout={_SECONDS}", "-verbosity=0"]
    options += [f"-rss_limit_mb={memory}", f"-artifact_prefix={FOUND / name.rpartition('.')[2]}-"]
    options += [f"-dict={dictionary}"] if dictionary.exists() else []
    with tempfile.TemporaryDirectory(prefix="cbspec-fuzz-") as seeds:
        for number, case in enumerate(read_corpus(name)):
            Path(seeds, f"{number:04}").write_bytes(case)
        command = [sys.executable, "-m", "tests.fuzz.harness", name, *options, seeds]
        return subprocess.run(command, check=False).returncode == 0


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen targets; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="inputs in all (default: %(default)s)")
    parser.add_argument("--target", action="append", metavar="NAME", help=f"{', '.join(TARGETS)}; may be repeated")
    parser.add_argument("--seed", type=int, help="seed of a reproducible run (default: random)")
    args = parser.parse_args(arguments)
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1, 2**31)
    chosen = {name: TARGETS.get(name, Target("")) for name in args.target or TARGETS}
    shares = sum(target.share for target in chosen.values())
    failed = []
    for name, target in chosen.items():
        cases = max(1, args.cases * target.share // shares)
        print(f"{name}: {cases:,} inputs, seed {seed}", flush=True)
        if not fuzz(name, cases, seed, longest=target.longest):
            failed.append(name)
    print(f"failed: {', '.join(failed)}; the inputs are in {FOUND}/" if failed else "no target failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
