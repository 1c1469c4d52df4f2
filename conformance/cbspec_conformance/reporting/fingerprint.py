"""The fingerprint of a relay as JSON: its behaviour in the points that the specification leaves open, and its SHOULDs.

Two runs on the same relay write the same bytes: no times, ports or random names. `compare` lists the differences
between two fingerprints, for example of two releases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from cbspec.catalogue.requirements import Level
from cbspec_conformance.judging.verdicts import Outcome, Verdict
from cbspec_conformance.record.naming import TUNNEL_NAME
from cbspec_conformance.reporting.report import RunResult

FORMAT: Final = 1  # the version of the file format

_FACTS: Final = ("transport", "websocket", "features")
_KIT: Final = ("kit", "specification", "requirements")
_NOT_OBSERVED: Final = "not observed"

# Parts of a sentence that differ between runs of the same behaviour.
_VARIES: Final = (
    (re.compile(rf"{TUNNEL_NAME.pattern}\d+"), "cbspec-…"),
    (re.compile(r"\b\d+(?:\.\d+)? (s\b|bytes|characters)"), r"… \1"),
    (re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\""), "b'…'"),
    (re.compile(r"(\d+\.\d+\.\d+\.\d+|\]|localhost):\d+"), r"\1:…"),
)


class UnusableFingerprint(Exception):
    """A file is no fingerprint of this format; the text names file and fault."""


@dataclass(frozen=True, slots=True)
class RowChange:
    """A difference. `what` is a requirement id or a fact, `demand` the requirement's text."""

    what: str
    demand: str
    before: str
    after: str


class FingerprintRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The observation of one requirement; `seen` has a text for each situation ("": the only one)."""

    level: str
    demand: str
    outcome: str
    seen: dict[str, str] = {}


class Fingerprint(msgspec.Struct, frozen=True):
    """The content of a fingerprint file. Absent facts are empty."""

    rows: dict[str, FingerprintRow]
    fingerprint: int = FORMAT
    kit: str = ""
    specification: str = ""
    requirements: str = ""
    transport: str = ""
    websocket: bool = False
    features: tuple[str, ...] = ()


def fingerprint_of(run: RunResult) -> Fingerprint:
    """Return the fingerprint of the implementation that a run examined."""
    rows = {v.requirement.id: _row(v) for v in run.verdicts if v.outcome and v.requirement.level is not Level.MUST}
    return Fingerprint(
        kit=metadata.version("cbspec"),
        specification=run.catalogue.specification,
        requirements=run.requirement_set,
        transport=run.subject.transport,
        websocket=run.subject.websocket,
        features=run.subject.features,
        rows=dict(sorted(rows.items())),
    )


def write_fingerprint(run: RunResult, file: Path) -> None:
    """Write the fingerprint of a run. Raises OSError."""
    data = msgspec.to_builtins(fingerprint_of(run))
    data["rows"] = data.pop("rows")  # the long part comes last
    file.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_fingerprint(file: Path) -> Fingerprint:
    """Read a fingerprint. Raises UnusableFingerprint, or OSError if there is no file."""
    try:
        data = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise UnusableFingerprint(f"{file}: not JSON; the suite writes a fingerprint with --fingerprint FILE") from None
    form = data.get("fingerprint") if isinstance(data, dict) else None
    if form is None:
        raise UnusableFingerprint(f"{file}: not a fingerprint; the suite writes one with --fingerprint FILE")
    if form != FORMAT:
        raise UnusableFingerprint(f"{file}: has format {form}, and this kit reads format {FORMAT}; write it again")
    try:
        return msgspec.convert(data, Fingerprint)
    except msgspec.ValidationError as error:
        raise UnusableFingerprint(f"{file}: damaged: {error}; write it again") from None


def compare(before: Fingerprint, after: Fingerprint) -> list[RowChange]:
    """Return the differences between two fingerprints: facts first, then by requirement and situation."""
    changes = [RowChange(name, "", old, new) for name, old, new in _differences(before, after, _FACTS)]
    for id_ in sorted({*before.rows, *after.rows}):
        changes += _compare_rows(id_, before.rows.get(id_), after.rows.get(id_))
    return changes


def other_kit(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Return the differences between the kits of two fingerprints, which may explain other changes."""
    return [f"{name}: {old} -> {new}" for name, old, new in _differences(before, after, _KIT)]


def _differences(before: Fingerprint, after: Fingerprint, names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield name, _plain(old), _plain(new)


def _row(verdict: Verdict) -> FingerprintRow:
    seen = dict(verdict.observed)
    if not seen and verdict.outcome is Outcome.WARNED:
        sentences = {_without_varying(f.seen) for f in verdict.findings if f.outcome is Outcome.WARNED}
        seen = {"": "; ".join(sorted(sentences))}
    row = verdict.requirement
    return FingerprintRow(row.level.value, row.demand, str(verdict.outcome), seen)


def _without_varying(sentence: str) -> str:
    for pattern, instead in _VARIES:
        sentence = pattern.sub(instead, sentence)
    return sentence


def _compare_rows(id_: str, before: FingerprintRow | None, after: FingerprintRow | None) -> Iterator[RowChange]:
    row = after or before
    demand = row.demand if row else ""
    old, new = _situations(before), _situations(after)
    if old != new and ("" in old) != ("" in new):
        yield RowChange(id_, demand, _joined(old), _joined(new))
        return
    for aspect in sorted({*old, *new}):
        if old.get(aspect) != new.get(aspect):
            words = f"{demand} ({aspect})" if aspect else demand
            yield RowChange(id_, words, old.get(aspect, _NOT_OBSERVED), new.get(aspect, _NOT_OBSERVED))


def _joined(situations: Mapping[str, str]) -> str:
    return "; ".join(f"{aspect}: {seen}" if aspect else seen for aspect, seen in situations.items())


def _situations(row: FingerprintRow | None) -> dict[str, str]:
    """Return the texts of a row by situation; "" is the only situation of its requirement."""
    if row is None:
        return {"": _NOT_OBSERVED}
    if row.outcome == Outcome.OBSERVED:
        return row.seen
    observed = "".join(f": {text}" for aspect, text in row.seen.items() if not aspect)
    return {"": f"{row.outcome}{observed}"}


def _plain(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
