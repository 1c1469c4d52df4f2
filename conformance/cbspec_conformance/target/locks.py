"""What processes that judge one relay at the same time must not do at the same time.

A tenant's limit, or the relay's own, can be counted only by one case at a time. Cases that don't count share the relay;
one that needs it alone waits for the others and keeps them waiting. A single process needs no locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, ReadWriteLock


class Locks:
    """Locks between the processes of one run.

    Arguments: `folder` is where the lock files are; None where one process judges alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._whole = ReadWriteLock(folder / "relay.lock") if folder else None
        # One lock for all limited tenants, not one each: two cases can't wait for each other's.
        self._limits = FileLock(folder / "limits.lock") if folder else None

    @classmethod
    def for_run(cls, run: str) -> Locks:
        """Return the locks that the processes of the run named `run` share."""
        folder = _folder(run)
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(folder)

    @staticmethod
    def remove(run: str) -> None:
        """Remove what the locks of the run named `run` left behind, once its processes have ended."""
        shutil.rmtree(_folder(run), ignore_errors=True)

    def shared(self) -> AbstractContextManager[object]:
        """Hold the relay together with others."""
        return self._whole.read_lock() if self._whole else contextlib.nullcontext()

    def alone(self) -> AbstractContextManager[object]:
        """Hold the relay alone."""
        return self._whole.write_lock() if self._whole else contextlib.nullcontext()

    def limits(self) -> AbstractContextManager[object]:
        """Hold every tenant that has a limit."""
        return self._limits or contextlib.nullcontext()


def _folder(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"cbspec-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
