"""A machine as text: a Mermaid state diagram, and Graphviz's language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from cbspec_conformance.machines.folding import fold
from cbspec_conformance.machines.machine import Difference, Machine

_COLOURS: Final = {"must": "#c62828", "should": "#b26a00", "info": "#1565c0", "": "#555555"}


def as_mermaid(machine: Machine, differences: Iterable[Difference] = ()) -> str:
    """Return a Mermaid state diagram; a difference from the specification begins with its level."""
    edges, remarks = fold(machine, differences)
    lines = ["stateDiagram-v2"]
    lines += [f"    state {json.dumps(name, ensure_ascii=False)} as s{n}" for n, name in enumerate(machine.names)]
    lines.append("    [*] --> s0")
    for each in edges:
        mark = f"{each.mark}! " if each.mark else ""
        lines.append(f"    s{each.source} --> s{each.target}: {mark}{', '.join(each.inputs)} / {each.output}")
    lines += [f"    %% {remark}" for remark in remarks]
    return "\n".join(lines) + "\n"


def as_dot(machine: Machine, differences: Iterable[Difference] = ()) -> str:
    """Return a digraph in the language of Graphviz; colours mark the differences from the specification."""
    return "\n".join(_dot(machine, differences)) + "\n"


def _dot(machine: Machine, differences: Iterable[Difference]) -> Iterator[str]:
    edges, remarks = fold(machine, differences)
    yield "digraph relay {"
    yield f"  label={json.dumps(' '.join(remarks))}; rankdir=LR; node [shape=box, style=rounded];"
    yield '  start [shape=point, label=""]; start -> s0;'
    for number, name in enumerate(machine.names):
        yield f"  s{number} [label={json.dumps(name)}];"
    for each in edges:
        text = json.dumps(f"{', '.join(each.inputs)}\n/ {each.output}")
        yield f'  s{each.source} -> s{each.target} [label={text}, color="{_COLOURS[each.level]}"];'
    yield "}"
