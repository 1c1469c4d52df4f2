"""Run one target under atheris: `python -m tests.fuzz.harness NAME [libFuzzer's options, folders or files]`.

Modules are instrumented when they are imported, so none of them may be imported before.
"""

from __future__ import annotations

import sys
from typing import Final

import atheris

_INSTRUMENTED: Final = [
    "cbspec", "cbspec_simulator", "cbspec_conformance", "websockets", "jwt", "prometheus_client",
]  # fmt: skip


def main() -> None:
    """Fuzz."""
    program, name, *options = sys.argv
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz.target import load

        check = load(name)
    atheris.Setup([program, *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
