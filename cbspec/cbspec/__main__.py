"""The entry point of `cbspec` and `python -m cbspec`."""

from __future__ import annotations

import gc
import sys

_THRESHOLD = 50_000  # objects; with Python's default of 700, collections take a tenth of the time of all imports


def main() -> int:
    """Run the command line of this process; return the exit code."""
    gc.set_threshold(_THRESHOLD)
    try:
        from cbspec.cli import main as run
    except KeyboardInterrupt:
        return 130  # Ctrl-C during the import of `cbspec.cli`
    return run()


if __name__ == "__main__":
    sys.exit(main())
