"""Targets, their corpora, and how bytes become choices.

A target is a function that raises if an input breaks a promise. Its corpus is a text file with one escaped input per
line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

T = TypeVar("T")
FOLDER = Path(__file__).parent


class Target(NamedTuple):
    """A target: its module, its share of all inputs (smaller for slow ones), and the longest input in bytes."""

    module: str
    share: int = 1
    longest: int = 512


TARGETS: Final = {
    "framing": Target("streams", 10, 200),
    "websocket": Target("streams", 4, 400),
    "strictjson": Target("texts", 10, 256),
    "session": Target("session", 2, 250),
    "tls": Target("tls", 2, 500),
    "tokens": Target("texts", 8, 700),
    "profile": Target("profile", 4, 1500),
    "suite": Target("texts", 6, 400),
}


def load(name: str) -> Callable[[bytes], None]:
    """Return a target, or the function `check` of any module if the name is dotted."""
    if "." in name:
        return cast(Callable[[bytes], None], importlib.import_module(name).check)
    module = importlib.import_module(f"tests.fuzz.targets.{TARGETS[name].module}")
    return cast(Callable[[bytes], None], getattr(module, name))


def read_corpus(name: str) -> list[bytes]:
    """Return the inputs of a target's corpus."""
    file = FOLDER / "corpus" / f"{name}.txt"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


class Choices:
    """Choices made by bytes taken from the front of an input; `rest` is the remainder. At the end all are zero."""

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
        """Take a number from 0 to `size` - 1."""
        return self.byte() % size

    def bytes(self, size: int) -> bytes:
        """Take up to `size` bytes."""
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Split bytes into pieces of one size."""
    return (data[at : at + size] for at in range(0, len(data), size))


def same_however_split(read: Callable[[bytes, int], T], stream: bytes, size: int) -> T:
    """Return `read(stream, piece size)`, which must be the same for one piece, single bytes and `size`."""
    whole = read(stream, len(stream) or 1)
    assert read(stream, 1) == whole
    assert read(stream, size) == whole
    return whole
