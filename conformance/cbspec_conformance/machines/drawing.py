"""A machine as an SVG picture: states in columns by their distance from the first, differences in colour.

Inputs that change no state are listed in the box of the state, grouped by output. Every other edge is a line with a
label: to the next column in the gap between them, and elsewhere in a lane above or below the boxes. An input that ends
the connection is listed in the box, too. The colours follow the reader's choice of light or dark.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Final

from cbspec_conformance.machines.folding import FoldedEdge, fold
from cbspec_conformance.machines.machine import CLOSED, CONNECTED, Difference, Machine

_LINE: Final = 16  # pixels
_LETTER: Final = 6.5  # pixels, a little more than the average of the font
_BOX, _GAP, _MARGIN, _PAD, _TITLE = 274, 170, 24, 10, 30
_WRAP: Final = int((_BOX - 3 * _PAD) / _LETTER)
_LABEL: Final = int((_GAP - 40) / _LETTER)

COLOURS: Final = """\
.machine { color-scheme: light dark; --paper: #ffffff; --ink: #1d1f23; --faint: #5b6270; --line: #8a919e;
  --box: #f4f6f9; --must: #c62828; --should: #a85f00; --info: #1565c0; }
@media (prefers-color-scheme: dark) { .machine { --paper: #14171c; --ink: #e8eaee; --faint: #a5adba; --line: #77808e;
  --box: #20252d; --must: #ff7b72; --should: #f0b050; --info: #79b8ff; } }
"""
RULES: Final = """\
.machine { background: var(--paper); }
.machine text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.machine .title { font-size: 13px; font-weight: 700; }
.machine .head { font-size: 17px; font-weight: 700; }
.machine .output { fill: var(--faint); font-style: italic; }
.machine .box { fill: var(--box); stroke: var(--line); stroke-width: 1.2; }
.machine .edge { fill: none; stroke: var(--line); stroke-width: 1.4; marker-end: url(#tip); }
.machine .plate { fill: var(--paper); }
.machine .tip { fill: var(--line); }
.machine :is(text, .tip).must { fill: var(--must); font-weight: 700; }
.machine :is(text, .tip).should { fill: var(--should); font-weight: 700; }
.machine :is(text, .tip).info { fill: var(--info); }
.machine .edge.must { stroke: var(--must); stroke-width: 2.2; marker-end: url(#tipmust); }
.machine .edge.should { stroke: var(--should); stroke-width: 2.2; marker-end: url(#tipshould); }
.machine .edge.info { stroke: var(--info); marker-end: url(#tipinfo); }
"""


@dataclass(slots=True)
class _Box:
    """A state: its text, as lines with their classes, and its place."""

    lines: list[tuple[str, str]]
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> float:
        return _TITLE + _LINE * len(self.lines) + (_PAD if self.lines else 0)


@dataclass(slots=True)
class _Arrow:
    """All edges with the same ends: the lines of their label, and the gravest mark."""

    source: int
    target: int
    lines: list[tuple[str, str]] = field(default_factory=list)
    mark: str = ""

    @property
    def height(self) -> float:
        return _LINE * len(self.lines) + 8


def as_svg(
    machine: Machine, differences: Sequence[Difference] = (), table_states: int = 0, *, inline: bool = False
) -> str:
    """Return the picture of a machine; `table_states` is the number of states of the specification's (0: not told).

    An `inline` one is part of a page, which has its heading, `RULES` and the colours of `COLOURS`.
    """
    edges, remarks = fold(machine, differences)
    ends = [state for state in machine.states if state and not any(each.source == state for each in edges)]
    inside = [
        replace(each, target=each.source, output=_ending(machine, each)) if each.target in ends else each
        for each in edges
        if each.source not in ends
    ]
    boxes = [
        _Box([line for each in inside if each.source == each.target == state for line in _text(each, _WRAP)])
        for state in machine.states
    ]
    columns = _columns(machine, ends)
    arrows = _arrows(inside)
    if table_states:
        about = f"the specification's table has {table_states}"
        about = about if differences else "the machine of the specification's table"
        remarks.insert(0, f"{len(machine.states)} states; {about}.")
    return _Picture(machine, boxes, columns, arrows, remarks, inline=inline).text()


def _ending(machine: Machine, edge: FoldedEdge) -> str:
    """Return the output of an edge to a state that has ended: if the connection answers nothing, it says so."""
    closed = all(machine.edges[edge.target, each][0] in (CLOSED, CONNECTED) for each in machine.inputs)
    return f"{edge.output}, then closed" if closed else edge.output


def _columns(machine: Machine, ends: Collection[int]) -> list[list[int]]:
    """Return the states of each column: those that have ended are not drawn, since nothing leads out of them."""
    drawn = [state for state in machine.states if state not in ends]
    deepest = max(len(machine.access[state]) for state in drawn)
    return [[state for state in drawn if len(machine.access[state]) == depth] for depth in range(deepest + 1)]


def _arrows(edges: Iterable[FoldedEdge]) -> list[_Arrow]:
    found: dict[tuple[int, int], _Arrow] = {}
    for each in sorted(edges, key=lambda edge: ("must", "should", "info", "").index(edge.level)):
        if each.source != each.target:
            arrow = found.setdefault((each.source, each.target), _Arrow(each.source, each.target, mark=each.level))
            arrow.lines += _text(each, _LABEL)
    return list(found.values())


def _text(edge: FoldedEdge, width: int) -> list[tuple[str, str]]:
    """Return the lines of an edge's label with their classes: the inputs, then the output."""
    mark = f"{edge.mark}: " if edge.mark else ""
    lines = textwrap.wrap(mark + "\xa0· ".join(each.replace(" ", "\xa0") for each in edge.inputs), width)
    return [*((line, edge.level) for line in lines), (f"→ {edge.output}", "output")]


class _Picture:
    """The layout of a picture, and its text."""

    def __init__(
        self,
        machine: Machine,
        boxes: list[_Box],
        columns: list[list[int]],
        arrows: list[_Arrow],
        remarks: list[str],
        *,
        inline: bool,
    ) -> None:
        self._inline = inline
        self._machine, self._boxes, self._remarks = machine, boxes, remarks
        self._column = {state: number for number, states in enumerate(columns) for state in states}
        step = {id(arrow): self._column[arrow.target] - self._column[arrow.source] for arrow in arrows}
        self._near = [arrow for arrow in arrows if step[id(arrow)] == 1]
        self._above = [arrow for arrow in arrows if step[id(arrow)] > 1]
        self._below = [arrow for arrow in arrows if step[id(arrow)] < 0]
        self._beside = [arrow for arrow in arrows if step[id(arrow)] == 0]
        top = _MARGIN + (0 if inline else _MARGIN + 20) + sum(arrow.height + 8 for arrow in self._above)
        tallest = max(self._height(states) for states in columns)
        gaps = [sum(a.height for a in self._near if self._column[a.source] == n) for n in range(len(columns))]
        self._tall = max(tallest, *gaps)
        for number, states in enumerate(columns):
            y = top + (self._tall - self._height(states)) / 2
            for state in states:
                boxes[state].x, boxes[state].y = _MARGIN + number * (_BOX + _GAP), y
                y += boxes[state].height + _MARGIN
        self._top, self._bottom = top, top + self._tall
        beside = 130 + 34 * len(self._beside) if self._beside else 0
        self._width = 2 * _MARGIN + len(columns) * _BOX + (len(columns) - 1) * _GAP + beside

    def _height(self, states: list[int]) -> float:
        return sum(self._boxes[state].height for state in states) + _MARGIN * (len(states) - 1)

    def text(self) -> str:
        """Return the SVG."""
        lanes = sum(arrow.height + 12 for arrow in self._below)
        remarks = [line for each in self._remarks for line in textwrap.wrap(each, int(self._width / _LETTER) - 6)]
        height = self._bottom + lanes + 2 * _MARGIN + _LINE * len(remarks)
        title = escape(f"The state machine of {self._machine.origin or 'a relay'}")
        body = [*self._gap_arrows(), *self._lanes(), *self._side_arrows(), *self._drawn_boxes()]
        notes = _lines([(each, "output") for each in remarks], _MARGIN, height - _MARGIN - _LINE * (len(remarks) - 1))
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="machine" viewBox="0 0 {self._width:.0f} {height:.0f}" '
            f'width="{self._width:.0f}" height="{height:.0f}" role="img" aria-label="{title}">'
        )
        tips = "".join(
            f'<marker id="tip{mark}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path class="tip {mark}" '
            f'd="M0 0L8 4L0 8z"/></marker>'
            for mark in ("", "must", "should", "info")
        )
        parts = [head, f"<defs>{tips}</defs>", *body, *notes, "</svg>"]
        if not self._inline:
            heading = f'<text class="head" x="{_MARGIN}" y="{_MARGIN + 10}">{title}</text>'
            parts[1:1] = [f"<style>\n{COLOURS}{RULES}</style>", heading]
        return "\n".join(parts) + "\n"

    def _drawn_boxes(self) -> Iterator[str]:
        for state in self._column:
            box = self._boxes[state]
            yield f'<rect class="box" x="{box.x:.0f}" y="{box.y:.0f}" width="{_BOX}" height="{box.height:.0f}" rx="8"/>'
            name = textwrap.shorten(self._machine.names[state], 35, placeholder=" …")
            yield f'<text class="title" x="{box.x + _PAD:.0f}" y="{box.y + 20:.0f}">{escape(name)}</text>'
            yield from _lines(box.lines, box.x + _PAD, box.y + _TITLE + 10)

    def _gap_arrows(self) -> Iterator[str]:
        """Draw the edges to the next column; their labels are stacked in the gap, in the order of their targets."""
        for column in range(max(self._column.values(), default=0)):
            arrows = [arrow for arrow in self._near if self._column[arrow.source] == column]
            arrows.sort(key=lambda arrow: (self._boxes[arrow.target].y, self._boxes[arrow.source].y))
            left = _MARGIN + column * (_BOX + _GAP) + _BOX
            free = (self._tall - sum(arrow.height for arrow in arrows)) / (len(arrows) + 1)
            y = self._top + free
            for arrow in arrows:
                middle = y + arrow.height / 2
                start, end, right = self._port(arrow.source, middle), self._port(arrow.target, middle), left + _GAP
                out = f"C{left + 30} {start:.0f} {left} {middle:.0f} {left + 36} {middle:.0f}"
                into = f"C{right} {middle:.0f} {right - 30} {end:.0f} {right - 2} {end:.0f}"
                yield _line(arrow, f"M{left} {start:.0f}{out}H{right - 36}{into}")
                yield from _label(arrow, left + _GAP / 2, y)
                y += arrow.height + free

    def _port(self, state: int, near: float) -> float:
        """Return the height at which an edge meets a box: as near as possible to that of its label."""
        box = self._boxes[state]
        return min(max(near, box.y + 14), box.y + box.height - 14)

    def _lanes(self) -> Iterator[str]:
        """Draw the other edges between columns, each in a lane of its own above or below the boxes."""
        y = _MARGIN + (0.0 if self._inline else _MARGIN + 14.0)
        for number, arrow in enumerate(self._above):
            yield from self._lane(arrow, y, number, above=True)
            y += arrow.height + 8
        y = self._bottom + 16
        for number, arrow in enumerate(self._below):
            yield from self._lane(arrow, y, number, above=False)
            y += arrow.height + 12

    def _lane(self, arrow: _Arrow, y: float, number: int, *, above: bool) -> Iterator[str]:
        source, target = self._boxes[arrow.source], self._boxes[arrow.target]
        shift = 24 + 22 * (number % 10)
        out, into = source.x + _BOX - shift, target.x + shift
        if not above and target.x > source.x:
            out, into = into, out
        middle = y + arrow.height / 2
        start, end = (source.y, target.y) if above else (source.y + source.height, target.y + target.height)
        tip = -2 if above else 2
        yield _line(arrow, f"M{out:.0f} {start:.0f}V{middle:.0f}H{into:.0f}V{end + tip:.0f}")
        yield from _label(arrow, (out + into) / 2, y)

    def _side_arrows(self) -> Iterator[str]:
        """Draw the edges within a column, at its right side, each with its label on its own line."""
        used: dict[int, float] = {}

        def middle(arrow: _Arrow) -> float:
            ends = (self._boxes[arrow.source], self._boxes[arrow.target])
            return sum(box.y + box.height / 2 for box in ends) / 2

        for number, arrow in enumerate(sorted(self._beside, key=middle)):
            source, target, column = self._boxes[arrow.source], self._boxes[arrow.target], self._column[arrow.source]
            down, x, shift = target.y > source.y, source.x + _BOX, 10 * (number % 8)
            start = source.y + (source.height - 12 - shift if down else 14 + shift)
            end = target.y + (14 + shift if down else target.height - 12 - shift)
            y = max(used.get(column, 0.0), middle(arrow) - arrow.height / 2)
            used[column] = y + arrow.height + 4
            bend = x + 74 + 34 * number
            low, high = min(start, end, y), max(start, end, y + arrow.height)
            far = "" if low == min(start, end) and high == max(start, end) else f"V{y + arrow.height / 2:.0f}"
            yield _line(arrow, f"M{x} {start:.0f}H{bend}{far}V{end:.0f}H{x + 2}")
            yield from _label(arrow, bend, y)


def _line(arrow: _Arrow, path: str) -> str:
    return f'<path class="edge {arrow.mark}" d="{path}"/>'


def _label(arrow: _Arrow, x: float, y: float) -> Iterator[str]:
    """Draw a label in the middle of a line, on a plate that hides it."""
    width = max(len(text) for text, _ in arrow.lines) * _LETTER + 8
    yield f'<rect class="plate" x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" height="{arrow.height:.0f}"/>'
    yield from _lines(arrow.lines, x, y + 15, anchor="middle")


def _lines(lines: Iterable[tuple[str, str]], x: float, y: float, anchor: str = "start") -> Iterator[str]:
    for number, (text, kind) in enumerate(lines):
        place = f'x="{x:.0f}" y="{y + number * _LINE:.0f}" text-anchor="{anchor}"'
        yield f'<text class="{kind}" {place}>{escape(text)}</text>'
