"""The matrix over implementations, as a page and as Markdown."""

from __future__ import annotations

from typing import Final

from cbspec_conformance.judging.verdicts import Outcome
from cbspec_conformance.reporting.html.assembly import minute, render, render_markdown
from cbspec_conformance.reporting.html.view import MARKS, grouped, mark_of
from cbspec_conformance.reporting.matrix import Matrix

_KEYS: Final = (
    ("j k", "next and previous requirement"),
    ("/", "find text"),
    ("d", "differences only, and back"),
    ("c", "clear the filters"),
    ("t", "light or dark"),
    ("?", "this list"),
)
_SYMBOLS: Final = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✕",
    Outcome.WARNED: "!",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_EXERCISED: "–",
    Outcome.OBSERVED: "○",
    Outcome.KNOWN: "✕ (known)",
    Outcome.FOLLOW_UP: "↳",
}


def matrix_page(matrix: Matrix) -> bytes:
    """Return the matrix as a page: one self-contained file."""
    return render(
        "matrix.html",
        "matrix.js",
        matrix=matrix,
        chapters=[(code, title) for code, title, _ in matrix.chapters],
        marks={mark.name: mark for mark in MARKS.values()},
        mark_of=mark_of,
        minute=minute,
        grouped=grouped,
        keys=_KEYS,
    )


def matrix_markdown(matrix: Matrix) -> bytes:
    """Return the matrix as Markdown, in which texts of implementations have no effect."""
    return render_markdown(
        "matrix.md.jinja",
        matrix=matrix,
        first=matrix.implementations[0].run.started,
        minute=minute,
        legend=[*((symbol, outcome.value) for outcome, symbol in _SYMBOLS.items()), ("·", "not selected")],
        symbols={**_SYMBOLS, None: "·"},
    )
