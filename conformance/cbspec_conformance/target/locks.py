"""Locks between the processes that judge one relay.

A case shares the relay with others and has some tenants and conditions for itself; a case that needs the relay alone
waits for the others and blocks new ones. A single process needs no locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from filelock import FileLock, ReadWriteLock


class Turns(Protocol):
    """The turns of cases that run at the same time."""

    def shared(self, names: Iterable[str]) -> AbstractContextManager[object]:
        """Share the relay with other cases that use none of the things with these names."""

    def alone(self, *, began: bool) -> AbstractContextManager[object]:
        """Have the relay alone; `began` says that the case needed it from its beginning."""


class Locks:
    """Locks between the processes of one run.

    Arguments: `folder` holds the lock files; None for a single process.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._whole = ReadWriteLock(folder / "relay.lock") if folder else None

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

    @contextlib.contextmanager
    def shared(self, names: Iterable[str] = ()) -> Iterator[None]:
        """Share the relay with other cases that use none of the things with these names."""
        with contextlib.ExitStack() as stack:
            if self.folder is not None and self._whole is not None:
                stack.enter_context(self._whole.read_lock())
                for name in sorted(names):  # in one order for all cases: otherwise two could wait for each other
                    stack.enter_context(FileLock(self.folder / f"{quote(name, safe='')}.own"))
            yield

    def alone(self, *, began: bool) -> AbstractContextManager[object]:
        """Reserve the relay; `began` changes nothing here."""
        return self._whole.write_lock() if self._whole else contextlib.nullcontext()


def _folder(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"cbspec-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
