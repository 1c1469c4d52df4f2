"""What came out so far, on disk: a run that was cut short, or is about a few relays, loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.adequacy.matrix import Row, Verdict
from tests.adequacy.subjects import Subject

_Key = tuple[str, str, str]


class Ledger:
    """The rows in a file, of the relays that there are today.

    Arguments: `file` is made where there is none; `subjects` are the relays that are asked for.
    """

    def __init__(self, file: Path, subjects: Iterable[Subject]) -> None:
        self._file = file
        self._rows: dict[_Key, Row] = {}
        known = {(str(subject.kind), subject.id): subject for subject in subjects}
        for entry in json.loads(file.read_text(encoding="utf-8")) if file.exists() else []:
            subject = known.get((entry["kind"], entry["id"]))
            if subject is not None and subject.requirement == entry["requirement"]:
                row = _row(subject, entry)
                self._rows[_key(row.subject, row.transport)] = row
        self._seconds = {key: row.seconds for key, row in self._rows.items()}

    def seconds(self, subject: Subject, transport: str) -> float:
        """Return how long a relay took when it was judged last, or 0."""
        return self._seconds.get(_key(subject, transport), 0.0)

    def forget(self, subjects: Iterable[Subject]) -> None:
        """Forget what came out of some relays."""
        for subject in subjects:
            for transport in subject.transports:
                self._rows.pop(_key(subject, transport), None)

    def add(self, row: Row) -> None:
        """Take a row, and write all of them."""
        self._rows[_key(row.subject, row.transport)] = row
        self._file.parent.mkdir(exist_ok=True)
        text = json.dumps([_entry(row) for row in self._rows.values()], indent=1)
        self._file.write_text(text, encoding="utf-8")

    def is_settled(self, subject: Subject, transport: str) -> bool:
        """Whether the suite is known to do right by a relay."""
        row = self._rows.get(_key(subject, transport))
        return row is not None and row.verdict.good

    def has(self, subject: Subject) -> bool:
        """Whether there is a row for each of the transports on which a relay is judged."""
        return all(_key(subject, transport) in self._rows for transport in subject.transports)

    def rows(self, subjects: Sequence[Subject]) -> list[Row]:
        """Return the rows of some relays, in their order."""
        order = {(str(subject.kind), subject.id): place for place, subject in enumerate(subjects)}
        found = [row for row in self._rows.values() if (str(row.subject.kind), row.subject.id) in order]
        return sorted(found, key=lambda row: (order[str(row.subject.kind), row.subject.id], row.transport))


def _key(subject: Subject, transport: str) -> _Key:
    return str(subject.kind), subject.id, transport


def _entry(row: Row) -> dict[str, Any]:
    facts = asdict(row)
    subject = facts.pop("subject")
    return {"kind": subject["kind"], "id": subject["id"], "requirement": subject["requirement"], **facts}


def _row(subject: Subject, entry: dict[str, Any]) -> Row:
    cases, others = tuple(entry["cases"]), tuple(entry["others"])
    return Row(subject, entry["transport"], Verdict(entry["verdict"]), cases, others, entry["remark"], entry["seconds"])
