"""docs/mutants.md: what was mutated, and why what survived may live, for people."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.adequacy.mutants.known import KINDS, Known, Reason
from tests.adequacy.mutants.mutations import Mutant
from tests.adequacy.mutants.verdicts import Verdict

_HEAD: Final = """\
# Mutants

The relay's source, broken in one place at a time by the operators of [mutmut](https://mutmut.readthedocs.io), and
judged by the conformance suite: not by the tests of the simulator. A mutant is killed when the run isn't green, a
requirement at SHOULD level and one that is not exercised included, or when the suite finds no plain stream spoken.
Measured by `make mutants`, which writes this file and fails where one survives without a reason in
`tests/adequacy/mutants/survivors.toml`, or is killed in spite of one.

Mutated are the modules in the table, and no others. In them not: types and imports, decorators, texts for people and
the ids of requirements. Of a string's three mutants only the first is tried.
"""


def write(known: Known, mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict]) -> str:
    """Return the document."""
    lines = [_HEAD, *_counts(known, mutants, verdicts), *_left_out(known)]
    living = {mutant.id: mutant for mutant in mutants if not verdicts[mutant.id].killed}
    for kind, meaning in KINDS.items():
        reasons = [reason for reason in known.reasons if reason.kind == kind]
        if reasons:
            lines += [f"\n## Survivors: {kind}\n", meaning]
        for reason in reasons:
            lines += _reason(reason, [living[id_] for id_ in reason.mutants if id_ in living])
    unexplained = [mutant for id_, mutant in living.items() if id_ not in known.survivors]
    if unexplained:
        lines += ["\n## Survivors without a reason", *_differences(unexplained)]
    return "\n".join(lines) + "\n"


def _counts(known: Known, mutants: Sequence[Mutant], verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    yield "| module | mutants | killed by a failure | by a warning | by no verdict | survivors |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    total = Counter[str]()
    for file in known.modules:
        ends = Counter(_end(verdicts[mutant.id]) for mutant in mutants if mutant.file == file)
        total += ends
        yield _row(f"`{file}`", ends)
    yield _row("all", total)
    yield ""
    yield from textwrap.wrap(
        "By no verdict: the relay didn't start, nothing could be judged, what is to be judged was inconclusive or not "
        "exercised, or only one of the two transports was spoken.",
        120,
    )


def _end(verdict: Verdict) -> str:
    if not verdict.killed:
        return "survived"
    how = verdict.by.partition(" ")[0]
    return how if how in ("failed", "warned") else "unclear"


def _row(name: str, ends: Counter[str]) -> str:
    cells = (ends[end] for end in ("failed", "warned", "unclear", "survived"))
    return f"| {name} | {ends.total()} | {' | '.join(str(cell or '') for cell in cells)} |"


def _left_out(known: Known) -> Iterator[str]:
    yield "\n## Left out\n"
    yield "| module | what | why |"
    yield "| --- | --- | --- |"
    for entry in (entry for entry in known.left_out if entry.file in known.modules):
        yield f"| `{entry.file}` | {', '.join(f'`{scope}`' for scope in entry.scopes)} | {entry.why} |"


def _reason(reason: Reason, mutants: Sequence[Mutant]) -> Iterator[str]:
    yield ""
    yield from textwrap.wrap(reason.why, 120, break_long_words=False, break_on_hyphens=False)
    yield from _differences(mutants)


def _differences(mutants: Sequence[Mutant]) -> Iterator[str]:
    yield "\n```diff"
    place = ""
    for mutant in mutants:
        if place != (place := f"@@ {mutant.file} {mutant.scope} @@"):
            yield place
        yield from (f"{sign}{text}" for sign, text in (("-", mutant.was), ("+", mutant.becomes)) if text)
    yield "```"
