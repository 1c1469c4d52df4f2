"""Entry point of `cbspec` and `python -m cbspec`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of the process and return its exit code."""
    try:
        from cbspec.cli import main as run
    except KeyboardInterrupt:
        return 130  # pressed while `cbspec.cli` was being imported
    return run()


if __name__ == "__main__":
    sys.exit(main())
