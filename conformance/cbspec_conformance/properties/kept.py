"""Failing examples, kept between runs and tried first in the next one. Each case of each target has its own."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from platformdirs import user_cache_path


def kept_for(target: str, case: str) -> Kept:
    """Return the failing examples of a case on one target; those of another target would only cost time."""
    folder = user_cache_path("cbspec") / "failures"
    for name in (target, case):
        folder /= hashlib.sha256(name.encode()).hexdigest()[:16]
    return Kept(folder)


class Kept(ExampleDatabase):
    """A Hypothesis database in a folder, for failing examples only. An unwritable folder keeps nothing.

    Hypothesis saves other examples too. They are dropped: they would cost time in the next run and change the values
    after them. While `frozen`, no example is deleted: an example that could not be judged did not pass.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.frozen = False
        self._files = DirectoryBasedExampleDatabase(folder)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Return the examples of a key."""
        return self._files.fetch(key) if _is_smallest(key) else ()

    def save(self, key: bytes, value: bytes) -> None:
        """Save an example."""
        if _is_smallest(key):
            with contextlib.suppress(OSError):
                self._files.save(key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Delete an example."""
        if _is_smallest(key) and not self.frozen:
            with contextlib.suppress(OSError):
                self._files.delete(key, value)


def _is_smallest(key: bytes) -> bool:
    return not key.endswith((b".pareto", b".secondary"))
