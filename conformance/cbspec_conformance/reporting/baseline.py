"""Known failures, which do not fail a run; an entry whose requirement passes does.

A baseline is a TOML file with a table for each requirement:

    [[known]]
    requirement = "CB-TUN-010"
    reason = "remote_port 0 is accepted until release 4"
    link = "https://tracker.example/123"   # optional
    until = 2026-12-31                     # optional: the last day on which the entry applies

A reason is written by a person: a new entry has an empty one, which is an error. A known failure may end the cases of
other requirements, which are inconclusive then. Such a requirement may have an entry, too.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from cbspec.catalogue.requirements import Level, UnknownRequirement, find
from cbspec.documents import DocumentError, load_toml, write_text
from cbspec_conformance.judging.verdicts import BROKEN, OWN_REQUIREMENT, Finding, Outcome, Verdict

_ID: Final = re.compile(r"CB-[A-Z]{3}-\d{3}")
_LONGEST: Final = 300
_FORM: Final = "[[known]] has requirement and reason, and optionally link and until (a date without quotes)"


class BaselineError(ValueError):
    """A baseline is invalid; the text names file, entry and fault."""


class BaselineEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A known failure. `until` is the last day on which it applies (None: no end)."""

    requirement: str
    reason: str
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
    """The known failures of a relay by requirement. `today` decides which entries still apply.

    `seen` says in a new baseline what each failure was, and `coverage` how much of the catalogue the run judged.
    """

    entries: Mapping[str, BaselineEntry] = field(default_factory=dict)
    today: datetime.date = field(default_factory=datetime.date.today)
    path: Path | None = None
    seen: Mapping[str, str] = field(default_factory=dict)
    coverage: str = ""

    def known(self, requirement: str) -> BaselineEntry | None:
        """Return the entry of a requirement, if it still applies."""
        entry = self.entries.get(requirement)
        return entry if entry is not None and not self.is_over(entry) else None

    def is_over(self, entry: BaselineEntry) -> bool:
        """Whether the last day of an entry has passed."""
        return entry.until is not None and entry.until < self.today

    def applied(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """Return the verdicts, with the known failures marked, and those that they leave without a verdict."""
        verdicts = list(verdicts)
        broken = {each.requirement.id for each in verdicts if each.outcome in BROKEN}
        causes = {id_ for id_ in broken if self.known(id_)}
        return [
            replace(verdict, outcome=Outcome.KNOWN)
            if self.known(verdict.requirement.id) and (verdict.outcome in BROKEN or _is_hidden(verdict, causes))
            else verdict
            for verdict in verdicts
        ]

    def hides(self, finding: Finding) -> bool:
        """Whether a finding is inconclusive because of a known failure, and has an entry itself."""
        causes = causes_of(finding)
        return self.known(finding.requirement) is not None and any(self.known(cause) for cause in causes)

    def remark(self, verdict: Verdict) -> str:
        """Return the text of an entry, and the reason if this run did not judge the known failure."""
        entry = self.entries[verdict.requirement.id]
        reasons = [finding.reason for finding in verdict.findings if finding.outcome is Outcome.INCONCLUSIVE]
        broken = any(finding.outcome in BROKEN for finding in verdict.findings)
        return f"{entry}" if broken or not reasons else f"{entry} (not judged: {reasons[0]})"

    def stale(self, verdicts: Iterable[Verdict]) -> list[str]:
        """Return the requirements that have an entry and pass now."""
        passed = {verdict.requirement.id for verdict in verdicts if verdict.outcome is Outcome.PASSED}
        return sorted(passed & {id_ for id_ in self.entries if self.known(id_)})

    def updated(self, verdicts: Sequence[Verdict], stale: Sequence[str], *, should: bool = False) -> Baseline:
        """Return a baseline of the present failures, with existing entries that are not `stale`.

        New entries have no reason. With `should`, warnings count as failures.
        """
        levels = BROKEN if should else BROKEN[:1]
        entries = {id_: entry for id_, entry in self.entries.items() if id_ not in stale}
        broken = {verdict.requirement.id for verdict in verdicts if verdict.outcome in levels}
        new = [each for each in verdicts if each.requirement.id in broken or _is_hidden(each, {*broken, *entries})]
        for verdict in new:
            if verdict.requirement.level is not Level.INFO:
                entries.setdefault(verdict.requirement.id, BaselineEntry(verdict.requirement.id, ""))
        seen = {verdict.requirement.id: _seen(verdict) for verdict in new}
        return replace(self, entries=dict(sorted(entries.items())), seen=seen, coverage=_coverage(verdicts))

    def write(self, file: Path) -> None:
        """Write the baseline. Raises OSError."""
        lines = [
            "# Known failures, see docs/how-to/gate.md. `reason` says why one is tolerated, `until` is the last day.",
            f"# {self.coverage or 'No run is recorded here.'}",
        ]
        for entry in self.entries.values():
            texts = {"requirement": entry.requirement, "reason": entry.reason, "link": entry.link}
            given = {name: text for name, text in texts.items() if text or name == "reason"}
            lines += ["", *(f"# {self.seen[id_]}" for id_ in (entry.requirement,) if id_ in self.seen)]
            lines += ["[[known]]", *(f"{name} = {write_text(text)}" for name, text in given.items())]
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
        if not entry.reason.strip():
            raise BaselineError(f"{path}: {entry.requirement}: the reason is empty; say why this failure is tolerated")
        entries[entry.requirement] = entry
    return Baseline(entries, path=path)


def causes_of(finding: Finding) -> set[str]:
    """Return the requirements that made a finding inconclusive, as its reason names them."""
    if finding.outcome is not Outcome.INCONCLUSIVE:
        return set()
    never = re.match(r"(\w+) is never served", finding.reason)
    served = {OWN_REQUIREMENT[never[1]]} if never and never[1] in OWN_REQUIREMENT else set()
    return {*_ID.findall(finding.reason), *served} - {finding.requirement}


def _is_hidden(verdict: Verdict, causes: Set[str]) -> bool:
    """Whether a verdict is inconclusive only because requirements in `causes` are broken."""
    unclear = [finding for finding in verdict.findings if finding.outcome is Outcome.INCONCLUSIVE]
    return verdict.outcome is Outcome.INCONCLUSIVE and all(causes_of(finding) & causes for finding in unclear)


def _coverage(verdicts: Iterable[Verdict]) -> str:
    """Return the number of requirements by outcome."""
    counts = Counter(str(verdict.outcome or "not selected") for verdict in verdicts)
    return f"Coverage of this run: {', '.join(f'{count} {outcome}' for outcome, count in sorted(counts.items()))}."


def _seen(verdict: Verdict) -> str:
    """Return the observed failure on one line."""
    broken = (finding for finding in verdict.findings if finding.outcome in BROKEN)
    unclear = next(iter(verdict.reasons), "it failed")
    seen = next((f"expected {finding.expected}; seen: {finding.seen}" for finding in broken), unclear)
    seen = " ".join(seen.split())
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}…"
