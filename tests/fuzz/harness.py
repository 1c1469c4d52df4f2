"""One target under atheris in a process of its own: `python -m tests.fuzz.harness NAME CASES [libFuzzer's options]`.

What the layers are made of is instrumented while it is imported, so nothing of it may be imported before.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import atheris

_INSTRUMENTED: Final = [
    "cbspec",
    "cbspec_simulator",
    "cbspec_conformance",
    "websockets",
    "jwt",
    "tomllib",
    "prometheus_client",
]
_PROGRESS: Final = 1.0  # seconds between two lines
_PAGE: Final = resource.getpagesize()


def counted(check: Callable[[bytes], None], cases: int) -> Callable[[bytes], None]:
    """Return a check that says on standard output how far it is: cases, and MiB in use."""
    done, due = 0, 0.0

    def run(data: bytes) -> None:
        nonlocal done, due
        check(data)
        done += 1
        if time.monotonic() >= due or done == cases:
            due = time.monotonic() + _PROGRESS
            print(done, resident(), flush=True)

    return run


def resident() -> int:
    """Return how many MiB of memory the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE >> 20


def main() -> None:
    """Fuzz."""
    _, name, cases, *options = sys.argv
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz.target import load

        target = load(name)
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *options], counted(target.check, int(cases)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
