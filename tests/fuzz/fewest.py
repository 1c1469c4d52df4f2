"""Of many cases the few that reach what the others don't, as far as trying them in turn finds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

_OURS: Final = ("cbspec", "cbspec_simulator", "cbspec_conformance", "cbspec_schemas")
Step = tuple[str, int, int]
"""One step of the code: its file, the line before, and the line."""


def fewest(check: Callable[[bytes], None], cases: Iterable[bytes], known: Iterable[bytes] = ()) -> list[bytes]:
    """Return what is known, and each case, the shortest first, that reaches a step which those before it don't."""
    kept = list(known)
    reached = set[Step]().union(*(_steps(check, case) for case in kept))
    for case in sorted(set(cases), key=lambda case: (len(case), case)):
        steps = _steps(check, case)
        if not steps <= reached:
            reached |= steps
            kept.append(case)
    return kept


def _steps(check: Callable[[bytes], None], case: bytes) -> set[Step]:
    found: set[Step] = set()

    def enter(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - as `sys.settrace` has it
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _OURS:
            return None
        file, before = frame.f_code.co_filename, 0

        def step(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - the same
            nonlocal before
            if event == "line":
                found.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        check(case)
    finally:
        sys.settrace(None)
    return found
