"""`python -m cbspec`: the same as the command `cbspec`."""

from __future__ import annotations

import sys

from cbspec.cli import main

if __name__ == "__main__":
    sys.exit(main())
