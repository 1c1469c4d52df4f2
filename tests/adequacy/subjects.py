"""The relays that judge the suite: the clean one, and each deviation, variant and open point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS, Variation
from cbspec_simulator.relay.behaviour import Behaviour, Writing
from cbspec_simulator.settings.config import Config

AUTO, WEBSOCKET = TRANSPORTS = ("auto", "websocket")
"""Transports of the cases. With auto they use TCP, except for the WebSocket chapter."""

_COMPARES = "CB-WSK-006"  # needs both transports

_TOGETHER = 6  # variations at most in one relay: more could hide each other

WAITED_FOR = ("slow", "jittery", "trickle")
"""Relays whose runs wait most of the time."""

_ALONE = (*WAITED_FOR, *(variant.id for variant in VARIANTS.values() if variant.openssl))


class SubjectKind(StrEnum):
    """The kind of a relay, which decides the right verdict."""

    CLEAN = "clean"
    DEVIATION = "deviation"
    VARIANT = "variant"
    OPEN_POINT = "open-point"


@dataclass(frozen=True, slots=True)
class Subject:
    """One relay.

    `requirement` is broken by a deviation, or shows an open point. `parts` are the parts of the behaviour and the
    configuration that differ: variations of different parts can be judged together.
    """

    kind: SubjectKind
    id: str
    requirement: str = ""
    transports: tuple[str, ...] = TRANSPORTS
    parts: frozenset[str] = frozenset()

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `cbspec simulate` that start the relay."""
        return () if self.kind is SubjectKind.CLEAN else (f"--{self.kind}", self.id)


def subjects(*, everywhere: bool = False) -> list[Subject]:
    """Return every relay, the longest runs first; with `everywhere`, deviations on both transports."""
    slow_first = sorted(VARIANTS.values(), key=lambda variant: variant.id not in _ALONE)
    return [
        Subject(SubjectKind.CLEAN, "clean"),
        *(_subject(SubjectKind.VARIANT, each) for each in slow_first),
        *(_subject(SubjectKind.OPEN_POINT, each) for each in OPEN_POINTS.values()),
        *(_subject(SubjectKind.DEVIATION, each, everywhere=everywhere) for each in DEVIATIONS.values()),
    ]


def _subject(kind: SubjectKind, variation: Variation, *, everywhere: bool = True) -> Subject:
    parts = frozenset(
        (
            *_different(Behaviour(), variation.change(Behaviour())),
            *_different(Config(), variation.arrange(Config())),
        )
    )
    transports = {"tcp": (AUTO,), "websocket": (WEBSOCKET,)}.get(variation.transport or "", TRANSPORTS)
    if parts == {"stream"} or not everywhere or variation.requirement == _COMPARES:
        transports = (AUTO,)
    return Subject(kind, variation.id, variation.requirement, transports, parts)


def _different(clean: Behaviour | Config | Writing, changed: Behaviour | Config | Writing) -> Iterator[str]:
    for part in fields(clean):
        before, after = getattr(clean, part.name), getattr(changed, part.name)
        if isinstance(before, Writing):
            yield from _different(before, after)
        elif before != after:
            yield part.name


def groups(wanted: Iterable[Subject]) -> list[tuple[Subject, ...]]:
    """Group variants, and open points, of different parts on the same transports: one run can clear all of them."""
    made: list[list[Subject]] = []
    for subject in wanted:
        group = next((group for group in made if _fits(subject, group)), None)
        if group is None:
            made.append([subject])
        else:
            group.append(subject)
    return [tuple(group) for group in made]


def _fits(subject: Subject, group: list[Subject]) -> bool:
    first = group[0]
    return (
        subject.kind in (SubjectKind.VARIANT, SubjectKind.OPEN_POINT)
        and (first.kind, first.transports) == (subject.kind, subject.transports)
        and not {first.id, subject.id} & {*_ALONE}
        and bool(first.parts and subject.parts)
        and len(group) < _TOGETHER
        and not any(subject.parts & other.parts for other in group)
    )
