"""File descriptors, of which each connection takes one: the usual limit is a thousand."""

from __future__ import annotations

import contextlib
import resource


def take_all() -> None:
    """Let this process, and those that it starts, have as many open as the system allows at all."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Where there is no hard limit, some systems refuse to have no other one either: then the usual one must do.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
