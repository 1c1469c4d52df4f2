"""Types of values: no text that can't be encoded; `settings/test_schema.py` compares the types with their schemas."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cbspec.documents import DocumentError, DocumentReader
from cbspec_simulator.base import values


def reads(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type
    """Return whether the reader accepts a value."""
    try:
        DocumentReader(Path()).read(value, hint)
    except DocumentError:
        return False
    return True


def test_values_that_cannot_be_written_as_json() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("\ud800", {"x": ["\udfff"]}, {"\ud800": 1}, float("nan"), datetime.date(2026, 1, 1), deep):
        assert not reads({"member": value}, values.JsonObject)
        assert not reads(value, str)


def test_bytes_are_counted_and_not_characters() -> None:
    assert reads("ää", values.short(4))
    assert not reads("ää", values.short(3))
