"""Failing examples, kept between runs and tried first in the next one; each target and each case has its own."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from platformdirs import user_cache_path


def kept_for(target: str) -> Kept:
    """Return the failures that were kept of one target: another relay's would cost time and say nothing of this one."""
    name = hashlib.sha256(target.encode()).hexdigest()[:16]
    return Kept(user_cache_path("cbspec") / "failures" / name)


class Kept(ExampleDatabase):
    """Hypothesis' own database in a folder, for failures only. A folder that can't be written keeps nothing.

    What Hypothesis would keep besides the smallest is left out: it would cost the next run time, and change the values
    that come after it. While `frozen`, nothing is dropped: an example that couldn't be judged wasn't seen to pass.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.frozen = False
        self._files = DirectoryBasedExampleDatabase(folder)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Return what was kept under a key."""
        return self._files.fetch(key) if _is_smallest(key) else ()

    def save(self, key: bytes, value: bytes) -> None:
        """Keep an example."""
        if _is_smallest(key):
            with contextlib.suppress(OSError):
                self._files.save(key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Drop an example."""
        if _is_smallest(key) and not self.frozen:
            with contextlib.suppress(OSError):
                self._files.delete(key, value)


def _is_smallest(key: bytes) -> bool:
    return not key.endswith((b".pareto", b".secondary"))
