"""`python -m cbspec`, and the command `cbspec`: the command line, Ctrl-C included while it is still being imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the process' own command line and give its exit code."""
    try:
        from cbspec.cli import main as run
    except KeyboardInterrupt:
        return 130  # as `cbspec.cli` has it, which isn't there yet
    return run()


if __name__ == "__main__":
    sys.exit(main())
