"""The limit of open file descriptors: each connection takes one, and the usual limit is about a thousand."""

from __future__ import annotations

import contextlib
import resource


def raise_limit() -> None:
    """Raise the limit of this process and its future children to the hard limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # some systems refuse an infinite hard limit as the soft limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
