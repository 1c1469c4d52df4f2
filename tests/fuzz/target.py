"""What a target is, and how bytes become choices."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp


@dataclass(frozen=True, slots=True)
class Target:
    """Something that any bytes are tried on.

    `check` raises where a promise is broken; `share` is its part of all cases beside the others', less where one takes
    long; `longest` is how many bytes a case has at most, `words` what is worth putting into one.
    """

    check: Callable[[bytes], None]
    share: int = 10
    longest: int = 512
    words: tuple[bytes, ...] = ()


def load(name: str) -> Target:
    """Return a target of the folder `targets`, or any other: `package.module:ATTRIBUTE`."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module if attribute else f"tests.fuzz.targets.{name}")
    target = getattr(found, attribute or "TARGET")
    assert isinstance(target, Target)
    return target


class Choices:
    """Bytes taken from the front, for whatever has to be chosen; what is left is `rest`. At the end all are zero."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def __bool__(self) -> bool:
        return bool(self.rest)

    def byte(self) -> int:
        """Take one byte."""
        taken = self.rest[0] if self.rest else 0
        self.rest = self.rest[1:]
        return taken

    def below(self, size: int) -> int:
        """Take a number from 0 up to, but not including, `size`."""
        return self.byte() % size

    def bytes(self, size: int) -> bytes:
        """Take so many bytes, or what there is."""
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces of one size."""
    return (data[at : at + size] for at in range(0, len(data), size))


def memory_folder() -> Path:
    """Return an empty folder, in memory where that can be: a file a case is written faster there."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a name that nobody can foresee
    return Path(mkdtemp(prefix="cbspec-fuzz-", dir=memory if memory.is_dir() else None))
