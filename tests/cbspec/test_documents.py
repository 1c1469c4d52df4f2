"""Reading TOML data into a dataclass, with an error for each wrong key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from cbspec.documents import Count, DocumentError, DocumentReader, Seconds, Text


@dataclass(frozen=True)
class SheetRow:
    name: Text
    count: Count = 1


@dataclass(frozen=True)
class Sheet:
    rows: tuple[SheetRow, ...] = ()
    size: Annotated[float, Meta(ge=0, le=1)] = 0.0
    wait: Seconds | None = None
    color: Literal["red", "blue"] = "red"
    labels: Mapping[str, str] = field(default_factory=dict)
    extra: object = None
    file: Path | None = None
    note: str = field(default="", compare=False)


def test_values_are_converted() -> None:
    data = {
        "rows": [{"name": "a", "count": 2.0}],
        "size": 1,
        "color": "blue",
        "labels": {"x": "y"},
        "extra": [1, {"a": True}],
        "file": "f",
    }
    assert DocumentReader(Path("/base")).read(data, Sheet) == Sheet(
        (SheetRow("a", 2),), 1.0, None, "blue", {"x": "y"}, [1, {"a": True}], Path("/base/f")
    )


def test_all_mistakes_are_reported_in_the_order_of_the_document() -> None:
    data = {
        "colour": "red",
        "color": "bleu",
        "size": 2,
        "wait": 10**400,
        "rows": [{"count": 0}, {"name": "", "cont": 1}, 3],
        "labels": {"a b": 1, "d\n": []},
        "extra": [datetime.date(2020, 1, 1), float("nan")],
        "file": "",
        "note": "x",
    }
    with pytest.raises(DocumentError) as caught:
        DocumentReader(Path()).read(data, Sheet)
    assert caught.value.problems == (
        "colour: unknown key; did you mean color?",
        "color: must be one of red, blue, not 'bleu'; did you mean blue?",
        "size: must be a number from 0 to 1, not 2",
        "wait: must be a number, more than 0, not a number",
        "rows[0]: lacks name",
        "rows[0].count: must be a whole number, 1 or more, not 0",
        "rows[1].name: must be a string that is not empty",
        "rows[1].cont: unknown key; did you mean count?",
        "rows[2]: must be a table, not a number",
        'labels."a b": must be a string, not a number',
        r'labels."d\n": must be a string, not an array',
        "extra[0]: must be a string, number, boolean, array or table, not a date or time",
        "extra[1]: must be a finite number, not nan",
        "file: must be a string that is not empty",
        "note: unknown key; known are rows, size, wait, color, labels, extra, file",
    )
