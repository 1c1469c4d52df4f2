"""docs/kill-matrix.md: what the suite made of every relay, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.adequacy.matrix import Row, Verdict
from tests.adequacy.subjects import TRANSPORTS, Kind

_TITLES = {
    Kind.DEVIATION: ("Deviations", "deviation", "breaks"),
    Kind.VARIANT: ("Variants", "variant", ""),
    Kind.OPEN_POINT: ("Open points", "open point", "shows in"),
    Kind.CLEAN: ("The clean relay", "relay", ""),
}
_HEAD = """\
# Kill matrix

What the suite makes of every named relay: measured by `make adequacy`, which writes this file and fails where a
deviation lives or is blamed on another requirement only, or where a conforming relay is accused. A deviation is judged
by the cases of the requirement that it breaks, their controls and the invariants; everything else by the quick run,
up to six that change different parts of the relay as one (each by itself, if that one is accused).
On "auto" the cases speak TCP, with the WebSocket's own beside them; on "websocket" all of them speak that.
"""


def write(rows: Iterable[Row]) -> str:
    """Return the document."""
    found = list(rows)
    parts = [_HEAD, *_counts(found)]
    for kind in _TITLES:
        of_kind = [row for row in found if row.subject.kind is kind]
        if of_kind:
            parts += _table(kind, of_kind)
    return "\n".join(parts) + "\n"


def _counts(rows: list[Row]) -> Iterator[str]:
    yield "| relays | transport | runs | as they should be |"
    yield "| --- | --- | ---: | ---: |"
    for kind, (title, _, _) in _TITLES.items():
        for transport in TRANSPORTS:
            runs = [row for row in rows if row.subject.kind is kind and row.transport == transport]
            if runs:
                yield f"| {title} | {transport} | {len(runs)} | {sum(row.verdict.good for row in runs)} |"


def _table(kind: Kind, rows: list[Row]) -> Iterator[str]:
    title, name, requirement = _TITLES[kind]
    yield f"\n## {title}\n"
    heads = [name, *([requirement] if requirement else []), *TRANSPORTS]
    heads += ["caught by", "also blamed"] if kind is Kind.DEVIATION else ["remark"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for id_ in sorted({row.subject.id for row in rows}):
        mine = {row.transport: row for row in rows if row.subject.id == id_}
        first = next(iter(mine.values()))
        cells = [f"`{id_}`", *([first.subject.requirement] if requirement else [])]
        cells += [str(mine[transport].verdict) if transport in mine else "" for transport in TRANSPORTS]
        cells += _last_cells(kind, list(mine.values()))
        yield f"| {' | '.join(cells)} |"


def _last_cells(kind: Kind, rows: list[Row]) -> list[str]:
    others = sorted({id_ for row in rows for id_ in row.others})
    remark = "; ".join(dict.fromkeys(row.remark for row in rows if row.remark))
    if kind is not Kind.DEVIATION:
        accused = f"accused by {', '.join(others)}" if others else ""
        return ["; ".join(filter(None, (accused, remark)))]
    return [_cases(rows) or remark, ", ".join(others)]


def _cases(rows: list[Row]) -> str:
    """Return the cases by name, without their files: the requirement's own page has those."""
    names = dict.fromkeys(case.rpartition("::")[2].partition("[")[0] for row in rows for case in row.cases)
    return ", ".join(f"`{name}`" for name in names)


def summary(rows: Iterable[Row]) -> str:
    """Return in a line what came out."""
    found = list(rows)
    counts = {verdict: sum(row.verdict is verdict for row in found) for verdict in Verdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
