"""The judgement on the suite: from the results of its runs to what it caught, missed, or accused without cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.adequacy.subjects import Kind, Subject

_BAD = ("failed", "warned")


class Verdict(StrEnum):
    """What is to be said of the suite after one run."""

    KILLED = "killed"
    SURVIVED = "survived"
    MISBLAMED = "blamed elsewhere"
    LEFT_ALONE = "left alone"
    ACCUSED = "accused"
    NO_VERDICT = "no verdict"

    @property
    def good(self) -> bool:
        """Whether the suite did what it is for."""
        return self in (Verdict.KILLED, Verdict.LEFT_ALONE)


@dataclass(frozen=True, slots=True)
class Row:
    """One relay on one transport, and what the suite made of it.

    `cases` caught it, `others` are requirements that were blamed besides; `remark` says why there is no verdict.
    """

    subject: Subject
    transport: str
    verdict: Verdict
    cases: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    remark: str = ""
    seconds: float = 0.0


def judge(subject: Subject, transport: str, results: Mapping[str, Any] | str, seconds: float = 0.0) -> Row:
    """Return the row of a run: of its results, or of a text that says why there are none."""
    if isinstance(results, str):
        return Row(subject, transport, Verdict.NO_VERDICT, remark=results, seconds=seconds)
    if results["kit_errors"]:
        remark = str(results["kit_errors"][0]).strip().splitlines()[-1]
        return Row(subject, transport, Verdict.NO_VERDICT, remark=remark, seconds=seconds)
    blamed = {id_: found for id_, found in results["requirements"].items() if found["outcome"] in _BAD}
    if subject.kind is Kind.DEVIATION:
        others = tuple(id_ for id_ in blamed if id_ != subject.requirement)
        cases = _cases(blamed.get(subject.requirement))
        missed = Verdict.MISBLAMED if others else Verdict.SURVIVED
        return Row(subject, transport, Verdict.KILLED if cases else missed, cases, others, seconds=seconds)
    # A SHOULD is another name for an open point; a variant keeps those, too.
    accused = tuple(id_ for id_, found in blamed.items() if found["outcome"] == "failed" or _is_strict(subject))
    verdict = Verdict.LEFT_ALONE if results["green"] and not accused else Verdict.ACCUSED
    unclear = [id_ for id_, found in results["requirements"].items() if found["outcome"] == "inconclusive"]
    remark = f"inconclusive: {', '.join(unclear)}" if unclear else ""
    return Row(subject, transport, verdict, others=accused, remark=remark, seconds=seconds)


def _is_strict(subject: Subject) -> bool:
    return subject.kind is not Kind.OPEN_POINT


def _cases(found: Mapping[str, Any] | None) -> tuple[str, ...]:
    findings = found["findings"] if found else []
    return tuple(dict.fromkeys(finding["case"] for finding in findings if finding["outcome"] in _BAD))
