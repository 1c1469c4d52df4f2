"""Writes docs/benchmarks.md: the machine, the figures, and the story (`bench/story.md`, by hand)."""

from __future__ import annotations

import platform
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from bench.figures import Figure, Target

_STORY: Final = Path(__file__).parent / "story.md"
_NOTE: Final = "<!-- Measured by `make bench`; the story behind the figures is bench/story.md. -->"


def write(measured: Mapping[Target, Sequence[Figure]], rounds: int) -> str:
    """Return the document."""
    about = (
        "Each figure is a ratio of what was measured side by side in one run, in turn, "
        f"{rounds} rounds: the median, and the lowest and highest round.\n"
        "Times are the server process's processor time; the load comes from processes of its own."
    )
    tables = (_table(target, figures) for target, figures in measured.items())
    described = "\n".join(f"- {line}" for line in machine())
    story = _STORY.read_text(encoding="utf-8").strip()
    parts = ["# Benchmarks", _NOTE, about, *tables, "## The machine", described, story]
    return "\n\n".join(parts) + "\n"


def _table(target: Target, figures: Sequence[Figure]) -> str:
    lines = [
        f"## {target.number}. {target.title}",
        "",
        "| figure | median | spread | limit | | of |",
        "| --- " * 6 + "|",
    ]
    lines += ["| " + " | ".join(_row(figure)) + " |" for figure in figures]
    return "\n".join(lines)


def _row(figure: Figure) -> Iterator[str]:
    low, high = figure.spread
    yield figure.name
    yield f"{figure.value:.2f} {figure.unit}"
    yield f"{low:.2f} to {high:.2f}"
    yield "" if figure.limit is None else f"{'at least' if figure.least else 'at most'} {figure.limit:g}"
    yield "" if figure.limit is None else "met" if figure.met else "**missed**"
    yield figure.parts


def machine() -> Iterator[str]:
    """Say on what is measured, a line each: processors, memory, system, and the versions that matter."""
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in facts if line.startswith("model name")]
    yield f"{len(models)} x {models[0]}, {_memory()} GiB, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    yield f"Node {_said('node', '--version')}"
    names = ("PyJWT", "cryptography", "websockets")
    yield ", ".join(f"{name} {metadata.version(name)}" for name in names)


def _memory() -> int:
    first = Path("/proc/meminfo").read_text(encoding="utf-8").split()
    return round(int(first[1]) / 1024**2)


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - by name
    except OSError:
        return "is not there"
