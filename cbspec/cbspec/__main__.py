"""The entry point of `cbspec` and `python -m cbspec`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process; return the exit code."""
    try:
        from cbspec.cli import main as run
    except KeyboardInterrupt:
        return 130  # Ctrl-C during the import of `cbspec.cli`
    return run()


if __name__ == "__main__":
    sys.exit(main())
