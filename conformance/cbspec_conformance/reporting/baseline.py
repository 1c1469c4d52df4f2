"""Failures that are known: a gate lets them through for as long as they last, and no longer.

A baseline is a TOML file with a table for each requirement:

    [[known]]
    requirement = "CB-TUN-010"
    reason = "remote_port 0 is accepted until release 4"
    link = "https://tracker.example/123"   # optional
    until = 2026-12-31                     # optional: the last day on which it counts
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cbspec.catalogue.requirements import Level, UnknownRequirement, find
from cbspec.documents import kind, write_text
from cbspec_conformance.judging.findings import Outcome
from cbspec_conformance.judging.verdicts import Verdict

_KEYS: Final = ("requirement", "reason", "link", "until")
_BROKEN: Final = (Outcome.FAILED, Outcome.WARNED)
_LONGEST: Final = 300


class BaselineError(ValueError):
    """A baseline can't be used; the text names the file, the entry and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class BaselineEntry:
    """One known failure. `until` is the last day on which it counts (None: no end)."""

    requirement: str
    reason: str
    link: str = ""
    until: datetime.date | None = None

    def __str__(self) -> str:
        until = f", until {self.until}" if self.until else ""
        return f"{self.reason}{f' ({self.link}{until})' if self.link else until}"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known failures of a relay, by requirement; `today` says which of them still count."""

    entries: Mapping[str, BaselineEntry] = field(default_factory=dict)
    today: datetime.date = field(default_factory=datetime.date.today)
    path: Path | None = None

    def known(self, requirement: str) -> BaselineEntry | None:
        """Return the entry of a requirement, where it still counts."""
        entry = self.entries.get(requirement)
        return entry if entry is not None and not self.is_over(entry) else None

    def is_over(self, entry: BaselineEntry) -> bool:
        """Whether the last day of an entry has passed."""
        return entry.until is not None and entry.until < self.today

    def applied(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """Return the verdicts with what is known named so."""
        return [
            replace(verdict, outcome=Outcome.KNOWN)
            if verdict.outcome in _BROKEN and self.known(verdict.requirement.id)
            else verdict
            for verdict in verdicts
        ]

    def stale(self, verdicts: Iterable[Verdict]) -> list[str]:
        """Return the requirements of entries that pass now."""
        passed = {verdict.requirement.id for verdict in verdicts if verdict.outcome is Outcome.PASSED}
        return sorted(passed & {id_ for id_ in self.entries if self.known(id_)})

    def updated(self, verdicts: Sequence[Verdict], stale: Sequence[str], *, should: bool = False) -> Baseline:
        """Return a baseline of what is broken now: reasons that were given are kept, what is `stale` is left out.

        `should` says that warnings fail the run, too. What wasn't exercised stays as it was.
        """
        levels = _BROKEN if should else _BROKEN[:1]
        entries = {id_: entry for id_, entry in self.entries.items() if id_ not in stale}
        for verdict in verdicts:
            if verdict.outcome in levels:
                entries.setdefault(
                    verdict.requirement.id, BaselineEntry(verdict.requirement.id, _what_was_seen(verdict))
                )
        return replace(self, entries=dict(sorted(entries.items())))

    def write(self, file: Path) -> None:
        """Write the baseline. Raises OSError."""
        lines = [
            "# Known failures: see cbspec's README. Say in `reason` why each is tolerated, in `until` for how long."
        ]
        for entry in self.entries.values():
            lines += ["", "[[known]]", f"requirement = {write_text(entry.requirement)}"]
            lines += [f"reason = {write_text(entry.reason)}"]
            lines += [f"link = {write_text(entry.link)}"] if entry.link else []
            lines += [f"until = {entry.until}"] if entry.until else []
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_baseline(path: Path) -> Baseline:
    """Read a baseline. Raises BaselineError."""
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise BaselineError(f"{path}: can't be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BaselineError(f"{path}: is not TOML: {error}") from None
    except ValueError:
        raise BaselineError(f"{path}: holds a number of too many digits") from None
    try:
        return Baseline(_entries(data), path=path)
    except BaselineError as error:
        raise BaselineError(f"{path}: {error}") from None


def _entries(data: Mapping[str, Any]) -> dict[str, BaselineEntry]:
    if unknown := next((key for key in data if key != "known"), None):
        raise BaselineError(f"{unknown}: unknown key; a baseline holds [[known]] tables only")
    tables = data.get("known", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BaselineError("known: must be tables, each headed [[known]]")
    entries: dict[str, BaselineEntry] = {}
    for number, table in enumerate(tables):
        entry = _entry(f"known[{number}]", table)
        if entry.requirement in entries:
            raise BaselineError(f"known[{number}]: {entry.requirement} is there twice")
        entries[entry.requirement] = entry
    return entries


def _entry(place: str, table: Mapping[str, Any]) -> BaselineEntry:
    if unknown := next((key for key in table if key not in _KEYS), None):
        raise BaselineError(f"{place}.{unknown}: unknown key; known are {', '.join(_KEYS)}")
    identifier, reason, link = (_text(place, table, key) for key in _KEYS[:3])
    until = table.get("until")
    # A date with a time is a date, too, to Python.
    if until is not None and (not isinstance(until, datetime.date) or isinstance(until, datetime.datetime)):
        raise BaselineError(f"{place}.until: must be a date without quotes, 2026-12-31, not {kind(until)}")
    try:
        row = find(identifier)
    except UnknownRequirement as error:
        raise BaselineError(f"{place}.requirement: {error}") from None
    if row.untestable or row.level is Level.INFO:
        raise BaselineError(f"{place}.requirement: {row.id} never fails: no case judges it")
    return BaselineEntry(row.id, reason, link, until)


def _text(place: str, table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "" if key == "link" else None)
    if value is None:
        raise BaselineError(f"{place}: lacks {key}")
    if not isinstance(value, str) or (key != "link" and not value.strip()):
        raise BaselineError(f"{place}.{key}: must be a text that is not empty, not {kind(value)}")
    return value


def _what_was_seen(verdict: Verdict) -> str:
    """Return what was seen, for the person to edit who knows the reason."""
    broken = (finding for finding in verdict.findings if finding.outcome in _BROKEN)
    seen = next((f"expected {finding.expected}; seen: {finding.seen}" for finding in broken), "it failed")
    seen = " ".join(seen.split())
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}…"
