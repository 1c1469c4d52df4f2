"""One target run in a process of its own: its corpus laid out, its progress told, and what it found kept."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.fuzz import corpus
from tests.fuzz.fewest import fewest
from tests.fuzz.target import Target, load

FOUND: Final = Path(".fuzz")
"""The folder in which inputs are kept that break something."""

CASE_SECONDS: Final = 10
MEMORY_MIB: Final = 512
GROWTH_MIB: Final = 64
"""What a target may grow by between the first quarter of many cases and the last."""

_MANY: Final = 20_000
_PROGRESS: Final = re.compile(r"\d+ \d+\n")
_TAIL: Final = 40  # lines of what a target said before it failed


@dataclass(slots=True)
class Outcome:
    """How a run went: cases, MiB after a quarter of them and at most, and what was wrong, if anything was."""

    cases: int = 0
    settled: int = 0
    peak: int = 0
    wrong: str = ""
    kept: list[Path] = field(default_factory=list)


def run(name: str, cases: int, seed: int, tell: Callable[[Outcome], None], *, keep: bool = False) -> Outcome:
    """Try so many cases; `tell` hears about once a second how far it is, `keep` adds what was new to the corpus."""
    target, outcome = load(name), Outcome()
    FOUND.mkdir(exist_ok=True)
    before = set(FOUND.iterdir())
    with tempfile.TemporaryDirectory(prefix="cbspec-fuzz-") as folder:
        seeds, words = Path(folder, "seeds"), Path(folder, "words")
        _lay_out(name, target, seeds, words)
        options = [f"-runs={cases}", f"-seed={seed}", f"-timeout={CASE_SECONDS}"]
        options += [f"-dict={words}"] if target.words else []
        # What a process's parent has held counts as its own peak, by which the limit goes.
        limit = MEMORY_MIB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        options += [f"-rss_limit_mb={limit}", f"-artifact_prefix={FOUND}/{name.rpartition(':')[2]}-", str(seeds)]
        with tempfile.TemporaryFile() as said:
            code = _follow([name, str(cases), *options], said, cases, outcome, tell)
            if code:
                said.seek(0)
                lines = [line for line in said.read().decode(errors="replace").splitlines() if line[:1] != "#"]
                outcome.wrong = "\n".join(lines[-_TAIL:]) or f"exit {code}"
        if keep and not code:
            found = [case.read_bytes() for case in seeds.iterdir()]
            corpus.write(name, fewest(target.check, found, corpus.read(name)))
    outcome.kept = sorted(set(FOUND.iterdir()) - before)
    if not outcome.wrong and cases >= _MANY and outcome.peak - outcome.settled > GROWTH_MIB:
        outcome.wrong = f"memory grew from {outcome.settled} to {outcome.peak} MiB"
    return outcome


def _lay_out(name: str, target: Target, seeds: Path, words: Path) -> None:
    """Write corpus and words down as libFuzzer reads them."""
    seeds.mkdir()
    for number, case in enumerate(corpus.read(name)):
        (seeds / f"{number:04}").write_bytes(case)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in quoted), encoding="ascii")


def _follow(
    arguments: list[str], said: IO[bytes], cases: int, outcome: Outcome, tell: Callable[[Outcome], None]
) -> int:
    """Run the harness to its end, and return its exit code."""
    with _harness(arguments, said) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not _PROGRESS.fullmatch(line):  # a traceback
                said.write(line.encode())
                continue
            outcome.cases, resident = map(int, line.split())
            outcome.peak = max(outcome.peak, resident)
            if outcome.cases < cases / 4:
                outcome.settled = resident
            tell(outcome)
        return process.wait()


@contextlib.contextmanager
def _harness(arguments: list[str], said: IO[bytes]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.fuzz.harness", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
