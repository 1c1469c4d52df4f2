"""That the corpus stays small: what reaches nothing new is left out, and what is in it stays."""

from __future__ import annotations

import contextlib

from cbspec.protocol.strictjson import NotStrictJson, loads
from tests.fuzz.fewest import fewest

CASES = [b"[[]]", b"", b"a", b"b", b"[]", b"ab"]


def _check(data: bytes) -> None:
    with contextlib.suppress(NotStrictJson):
        if data:
            loads(data)


def test_only_what_reaches_something_new_is_kept() -> None:
    assert fewest(_check, CASES) == [b"a", b"[]"]


def test_what_is_there_stays() -> None:
    assert fewest(_check, CASES, [b"ab", b"b"]) == [b"ab", b"b", b"[]"]
