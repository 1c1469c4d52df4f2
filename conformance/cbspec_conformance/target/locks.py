"""Locks between the processes that judge one relay.

Only one case at a time may count against a limit of a tenant or the relay. Other cases share the relay; a case that
needs it alone waits for them and blocks new ones. A single process needs no locks.
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

    Arguments: `folder` holds the lock files; None for a single process.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._whole = ReadWriteLock(folder / "relay.lock") if folder else None
        # A single lock for all limited tenants avoids deadlocks between two cases.
        self._limits = FileLock(folder / "limits.lock") if folder else None

    @classmethod
    def for_run(cls, run: str) -> Locks:
        """Return the locks that the processes of the run named `run` share."""
        folder = _folder(run)
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(folder)

    @staticmethod
    def remove(run: str) -> None:
        """Remove the lock files of the run named `run` after its processes have ended."""
        shutil.rmtree(_folder(run), ignore_errors=True)

    def shared(self) -> AbstractContextManager[object]:
        """Share the relay with other cases."""
        return self._whole.read_lock() if self._whole else contextlib.nullcontext()

    def alone(self) -> AbstractContextManager[object]:
        """Reserve the relay."""
        return self._whole.write_lock() if self._whole else contextlib.nullcontext()

    def limits(self) -> AbstractContextManager[object]:
        """Reserve every tenant that has a limit."""
        return self._limits or contextlib.nullcontext()


def _folder(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"cbspec-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
