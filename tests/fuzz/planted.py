"""Targets that break on purpose: what the fuzzer must find, and name."""

from __future__ import annotations

import time
from typing import Final

from tests.fuzz.target import Target

_held: list[bytes] = []


def _crash(data: bytes) -> None:
    if data.startswith(b"no"):
        raise AssertionError("this is what was planted")


def _hang(data: bytes) -> None:
    if data:
        time.sleep(60)


def _hoard(data: bytes) -> None:
    _held.append(b"x" * (1 << 20))


def _leak(data: bytes) -> None:
    _held.append(b"x" * (1 << 13))


CRASH: Final = Target(_crash, words=(b"no",))
HANG: Final = Target(_hang)
HOARD: Final = Target(_hoard)
LEAK: Final = Target(_leak)
