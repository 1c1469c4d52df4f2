"""Known failures, which do not fail a run; an entry whose requirement passes does.

A baseline is a TOML file with a table for each requirement:

    [[known]]
    requirement = "CB-TUN-010"
    reason = "remote_port 0 is accepted until release 4"
    link = "https://tracker.example/123"   # optional
    until = 2026-12-31                     # optional: the last day on which the entry applies
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec

from cbspec.catalogue.requirements import Level, UnknownRequirement, find
from cbspec.documents import DocumentError, load_toml, write_text
from cbspec_conformance.judging.verdicts import Outcome, Verdict

_BROKEN: Final = (Outcome.FAILED, Outcome.WARNED)
_LONGEST: Final = 300
_FORM: Final = "[[known]] has requirement and reason, and optionally link and until (a date without quotes)"


class BaselineError(ValueError):
    """A baseline is invalid; the text names file, entry and fault."""


class BaselineEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A known failure. `until` is the last day on which it applies (None: no end)."""

    requirement: str
    reason: Annotated[str, msgspec.Meta(pattern=r"\S")]
    link: str = ""
    until: datetime.date | None = None

    def __post_init__(self) -> None:
        try:
            row = find(self.requirement)
        except UnknownRequirement as error:
            raise ValueError(str(error)) from None
        if row.untestable or row.level is Level.INFO:
            raise ValueError(f"{row.id} never fails: no case judges it")
        msgspec.structs.force_setattr(self, "requirement", row.id)

    def __str__(self) -> str:
        until = f", until {self.until}" if self.until else ""
        return f"{self.reason}{f' ({self.link}{until})' if self.link else until}"


class BaselineDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a baseline file."""

    known: tuple[BaselineEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known failures of a relay by requirement. `today` decides which entries still apply."""

    entries: Mapping[str, BaselineEntry] = field(default_factory=dict)
    today: datetime.date = field(default_factory=datetime.date.today)
    path: Path | None = None

    def known(self, requirement: str) -> BaselineEntry | None:
        """Return the entry of a requirement, if it still applies."""
        entry = self.entries.get(requirement)
        return entry if entry is not None and not self.is_over(entry) else None

    def is_over(self, entry: BaselineEntry) -> bool:
        """Whether the last day of an entry has passed."""
        return entry.until is not None and entry.until < self.today

    def applied(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """Return the verdicts, with the known failures marked."""
        return [
            replace(verdict, outcome=Outcome.KNOWN)
            if verdict.outcome in _BROKEN and self.known(verdict.requirement.id)
            else verdict
            for verdict in verdicts
        ]

    def stale(self, verdicts: Iterable[Verdict]) -> list[str]:
        """Return the requirements that have an entry and pass now."""
        passed = {verdict.requirement.id for verdict in verdicts if verdict.outcome is Outcome.PASSED}
        return sorted(passed & {id_ for id_ in self.entries if self.known(id_)})

    def updated(self, verdicts: Sequence[Verdict], stale: Sequence[str], *, should: bool = False) -> Baseline:
        """Return a baseline of the present failures, with existing entries that are not `stale`.

        With `should`, warnings count as failures.
        """
        levels = _BROKEN if should else _BROKEN[:1]
        entries = {id_: entry for id_, entry in self.entries.items() if id_ not in stale}
        for verdict in verdicts:
            if verdict.outcome in levels:
                entries.setdefault(verdict.requirement.id, BaselineEntry(verdict.requirement.id, _seen(verdict)))
        return replace(self, entries=dict(sorted(entries.items())))

    def write(self, file: Path) -> None:
        """Write the baseline. Raises OSError."""
        lines = [
            "# Known failures, see cbspec's README. `reason` says why a failure is tolerated, `until` is the last day."
        ]
        for entry in self.entries.values():
            texts = {"requirement": entry.requirement, "reason": entry.reason, "link": entry.link}
            lines += ["", "[[known]]", *(f"{name} = {write_text(text)}" for name, text in texts.items() if text)]
            lines += [f"until = {entry.until}"] if entry.until else []
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_baseline(path: Path) -> Baseline:
    """Read a baseline. Raises BaselineError."""
    try:
        document = msgspec.convert(load_toml(path), BaselineDocument, builtin_types=(datetime.date,))
    except DocumentError as error:
        raise BaselineError(str(error)) from None
    except msgspec.ValidationError as error:
        raise BaselineError(f"{path}: {error}; {_FORM}") from None
    entries: dict[str, BaselineEntry] = {}
    for entry in document.known:
        if entry.requirement in entries:
            raise BaselineError(f"{path}: {entry.requirement} has two entries; remove one")
        entries[entry.requirement] = entry
    return Baseline(entries, path=path)


def _seen(verdict: Verdict) -> str:
    """Return the observed failure, as a draft of the reason."""
    broken = (finding for finding in verdict.findings if finding.outcome in _BROKEN)
    seen = next((f"expected {finding.expected}; seen: {finding.seen}" for finding in broken), "it failed")
    seen = " ".join(seen.split())
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}…"
