"""A relay's fingerprint: what it does where the page is silent, and which natural readings it keeps, as JSON.

Two runs against the same relay give the same bytes: no times, ports or random names are in it. `compare` says what
differs between two, for two releases of one relay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from cbspec.catalogue.requirements import Level
from cbspec.catalogue.revision import REVISION, SET
from cbspec_conformance.judging.findings import Outcome
from cbspec_conformance.judging.verdicts import Verdict
from cbspec_conformance.reporting.report import RunResult

FORMAT: Final = 1
"""The version of the file's form."""

_FACTS: Final = ("transport", "websocket", "features")
_KIT: Final = ("kit", "specification", "requirements")
_NOTHING: Final = "not looked at"

# What differs from run to run in a sentence about the same behaviour.
_VARIES: Final = (
    (re.compile(r"cbspec-[0-9a-f]{8}-\d+"), "cbspec-…"),
    (re.compile(r"\b\d+(?:\.\d+)? (s\b|bytes|characters)"), r"… \1"),
    (re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\""), "b'…'"),
    (re.compile(r"(\d+\.\d+\.\d+\.\d+|\]|localhost):\d+"), r"\1:…"),
)


class UnusableFingerprint(Exception):
    """A file is no fingerprint that can be compared; the text names it and says what is wrong."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One difference: `what` is a requirement's id or a fact's name, `demand` its sentence."""

    what: str
    demand: str
    before: str
    after: str


def fingerprint_of(run: RunResult) -> dict[str, Any]:
    """Return the fingerprint of the relay that a run looked at."""
    rows = {v.requirement.id: _row(v) for v in run.verdicts if v.outcome and v.requirement.level is not Level.MUST}
    return {
        "fingerprint": FORMAT,
        "kit": metadata.version("cbspec"),
        "specification": REVISION,
        "requirements": SET,
        "transport": run.facts.transport,
        "websocket": run.facts.websocket,
        "features": sorted(run.facts.features),
        "rows": dict(sorted(rows.items())),
    }


def write_fingerprint(run: RunResult, file: Path) -> None:
    """Write the fingerprint of a run. Raises OSError."""
    file.write_text(json.dumps(fingerprint_of(run), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_fingerprint(file: Path) -> dict[str, Any]:
    """Return the fingerprint in a file. Raises UnusableFingerprint where there is none, OSError where no file is."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableFingerprint(f"{file}: not JSON: {error}") from None
    if not isinstance(found, dict) or "fingerprint" not in found:
        raise UnusableFingerprint(f"{file}: not a fingerprint; cbspec verify HOST:PORT --fingerprint FILE writes one")
    if found["fingerprint"] != FORMAT:
        raise UnusableFingerprint(f"{file}: in a form that this kit doesn't know; write it again")
    rows = found.get("rows")
    if not isinstance(rows, dict) or not all(_is_row(row) for row in rows.values()):
        raise UnusableFingerprint(f"{file}: damaged: its rows aren't what a kit writes; write it again")
    return found


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[RowChange]:
    """Return what differs in the relay between two fingerprints, facts first, then by requirement and situation."""
    changes = [
        RowChange(name, "", _plain(before.get(name)), _plain(after.get(name)))
        for name in _FACTS
        if before.get(name) != after.get(name)
    ]
    for id_ in sorted({*before["rows"], *after["rows"]}):
        changes += _compare_rows(id_, before["rows"].get(id_), after["rows"].get(id_))
    return changes


def other_kit(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return in what the kits differ that wrote two fingerprints: then a change need not be the relay's."""
    return [
        f"{name}: {_plain(before.get(name))} -> {_plain(after.get(name))}"
        for name in _KIT
        if before.get(name) != after.get(name)
    ]


def _row(verdict: Verdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "level": verdict.requirement.level.value,
        "demand": verdict.requirement.demand,
        "outcome": str(verdict.outcome),
    }
    if verdict.observed:
        row["seen"] = verdict.observed
    elif verdict.outcome is Outcome.WARNED:
        sentences = {_steady(f.seen) for f in verdict.findings if f.outcome is Outcome.WARNED}
        row["seen"] = {"": "; ".join(sorted(sentences))}
    return row


def _steady(sentence: str) -> str:
    for pattern, instead in _VARIES:
        sentence = pattern.sub(instead, sentence)
    return sentence


def _compare_rows(id_: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[RowChange]:
    demand = (after or before or {}).get("demand", "")
    old, new = _situations(before), _situations(after)
    if old != new and ("" in old) != ("" in new):
        yield RowChange(id_, demand, _all(old), _all(new))
        return
    for aspect in sorted({*old, *new}):
        if old.get(aspect) != new.get(aspect):
            words = f"{demand} ({aspect})" if aspect else demand
            yield RowChange(id_, words, old.get(aspect, _NOTHING), new.get(aspect, _NOTHING))


def _all(situations: Mapping[str, str]) -> str:
    return "; ".join(f"{aspect}: {seen}" if aspect else seen for aspect, seen in situations.items())


def _situations(row: dict[str, Any] | None) -> dict[str, str]:
    """Return what a row says by situation; "" where it says one thing only."""
    if row is None:
        return {"": _NOTHING}
    seen: dict[str, str] = row.get("seen", {})
    if row["outcome"] == Outcome.OBSERVED:
        return seen
    told = "".join(f": {text}" for aspect, text in seen.items() if not aspect)
    return {"": f"{row['outcome']}{told}"}


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("outcome"), str)
        and isinstance(row.get("demand"), str)
        and isinstance(row.get("seen", {}), dict)
        and all(isinstance(text, str) for text in row.get("seen", {}).values())
    )
