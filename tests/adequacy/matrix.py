"""The kill matrix: a verdict on the suite for each relay and transport, as a document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.adequacy.subjects import TRANSPORTS, Subject, SubjectKind

_BAD = ("failed", "warned")


class SuiteVerdict(StrEnum):
    """The outcome of judging one relay."""

    KILLED = "killed"
    SURVIVED = "survived"
    MISBLAMED = "blamed elsewhere"
    LEFT_ALONE = "left alone"
    ACCUSED = "accused"
    NO_VERDICT = "no verdict"

    @property
    def good(self) -> bool:
        """Whether the suite judged the relay correctly."""
        return self in (SuiteVerdict.KILLED, SuiteVerdict.LEFT_ALONE)


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One relay on one transport.

    `cases` are the node ids that killed it, `others` further requirements that were blamed, and `remark` says why there
    is no verdict.
    """

    subject: Subject
    transport: str
    verdict: SuiteVerdict
    cases: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    remark: str = ""


def judge(subject: Subject, transport: str, results: Mapping[str, Any] | str) -> MatrixRow:
    """Return the row of a run, from its results or from the reason why there are none."""
    if not isinstance(results, str) and results["kit_errors"]:
        results = str(results["kit_errors"][0]).strip().splitlines()[-1]
    if isinstance(results, str):
        return MatrixRow(subject, transport, SuiteVerdict.NO_VERDICT, remark=results)
    blamed = {id_: found for id_, found in results["requirements"].items() if found["outcome"] in _BAD}
    if subject.kind is SubjectKind.DEVIATION:
        others = tuple(id_ for id_ in blamed if id_ != subject.requirement)
        cases = _cases(blamed.get(subject.requirement))
        missed = SuiteVerdict.MISBLAMED if others else SuiteVerdict.SURVIVED
        verdict = SuiteVerdict.KILLED if cases else missed
        return MatrixRow(subject, transport, verdict, cases, others)
    # An open point may be warned of: it decides a SHOULD.
    strict = subject.kind is not SubjectKind.OPEN_POINT
    accused = tuple(id_ for id_, found in blamed.items() if strict or found["outcome"] == "failed")
    verdict = SuiteVerdict.LEFT_ALONE if results["green"] and not accused else SuiteVerdict.ACCUSED
    return MatrixRow(subject, transport, verdict, others=accused)


def _cases(found: Mapping[str, Any] | None) -> tuple[str, ...]:
    findings = found["findings"] if found else []
    return tuple(dict.fromkeys(finding["case"] for finding in findings if finding["outcome"] in _BAD))


_HEAD = """\
# Kill matrix

Measured by `make adequacy`, which fails if a deviation survives or is blamed on another requirement only, if a
conforming relay is accused, or if the transcript of a run gives other verdicts than the run. A deviation is judged by
the cases of its requirement, other relays by a quick run.

"""


def write(rows: Sequence[MatrixRow]) -> str:
    """Return the document: counts, and for each requirement its deviations and the cases that killed them."""
    lines = ["| relays | transport | runs | correct |", "| --- | --- | ---: | ---: |"]
    for kind in SubjectKind:
        for transport in TRANSPORTS:
            runs = [row for row in rows if row.subject.kind is kind and row.transport == transport]
            if runs:
                lines.append(f"| {kind} | {transport} | {len(runs)} | {sum(row.verdict.good for row in runs)} |")
    lines += ["", "| requirement | deviations | verdict | killed by | also blamed |", f"|{' --- |' * 5}"]
    alike = defaultdict[tuple[str, ...], list[str]](list)
    for row in rows:
        if row.subject.kind is SubjectKind.DEVIATION:
            proof = (row.verdict, ", ".join(_short(row.cases)), ", ".join(row.others))
            alike[row.subject.requirement, *proof].append(f"`{row.subject.id}`")
    for (requirement, *cells), ids in sorted(alike.items()):
        lines.append(f"| {requirement} | {', '.join(sorted(ids))} | {' | '.join(cells)} |")
    return _HEAD + "\n".join(lines) + "\n"


def _short(cases: Iterable[str]) -> Iterator[str]:
    """Give the names of cases, each with its parameters in one pair of brackets."""
    parameters = defaultdict[str, list[str]](list)
    for case in cases:
        name, bracket, rest = case.rpartition("::")[2].removeprefix("test_").partition("[")
        parameters[name] += [rest[:-1].replace("|", "\\|")] if bracket else []
    for name, found in parameters.items():
        shown = [*found[:3], *(["..."] if len(found) > 3 else [])]
        yield f"{name}[{', '.join(shown)}]" if found else name


def summary(rows: Iterable[MatrixRow]) -> str:
    """Return the number of each verdict."""
    found = list(rows)
    counts = {verdict: sum(row.verdict is verdict for row in found) for verdict in SuiteVerdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
