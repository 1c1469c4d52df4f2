"""The relays that the suite is tried on: the clean one, each deviation, each variant, each open point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from cbspec.profile.target import Transport
from cbspec_simulator import DEVIATIONS, OPEN_POINTS, VARIANTS
from cbspec_simulator.relay.behaviour import Behaviour, Writing
from cbspec_simulator.settings.config import Config
from cbspec_simulator.variations.compose import Change
from cbspec_simulator.variations.variants.kind import as_told

AUTO, WEBSOCKET = TRANSPORTS = ("auto", "websocket")
"""What the cases are told to speak: auto is TCP, with the WebSocket's own cases beside it."""

_COMPARES = "CB-WSK-006"  # the requirement that needs both transports to be told from a relay that is wrong on both

_TOGETHER = 6  # more, and one would hide another

WAITED_FOR = ("slow", "jittery", "trickle")
"""Relays that take their time with everything."""

_ALONE = (*WAITED_FOR, *(variant.id for variant in VARIANTS.values() if variant.openssl))
"""What is judged alone: relays that take long enough by themselves, and those that need a process of their own kind."""


class Kind(StrEnum):
    """What a relay is, and so what the suite must say of it."""

    CLEAN = "clean"
    DEVIATION = "deviation"
    VARIANT = "variant"
    OPEN_POINT = "open-point"


@dataclass(frozen=True, slots=True)
class Subject:
    """One relay. `requirement` is what a deviation breaks, or what an open point shows; `transports` where it can.

    `parts` are the parts of the relay that it changes: two that change different ones can be one relay.
    """

    kind: Kind
    id: str
    requirement: str = ""
    transports: tuple[str, ...] = TRANSPORTS
    parts: frozenset[str] = frozenset()

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `cbspec simulate` that make the relay."""
        return () if self.kind is Kind.CLEAN else (f"--{self.kind}", self.id)


def subjects(*, everywhere: bool = False) -> list[Subject]:
    """Return every relay, those first whose runs are the longest.

    Deviations are judged on "auto", where the WebSocket's cases run, too; `everywhere` adds the other transport.
    """
    return [Subject(Kind.CLEAN, "clean"), *_variants(), *_open_points(), *_deviations(everywhere)]


def groups(wanted: Iterable[Subject]) -> list[tuple[Subject, ...]]:
    """Put together what can be judged together: variants, or open points, of different parts on the same transports.

    If nobody accuses the whole, nobody accuses any of them.
    """
    made: list[list[Subject]] = []
    for subject in wanted:
        free = subject.kind in (Kind.VARIANT, Kind.OPEN_POINT) and subject.parts and subject.id not in _ALONE
        fitting = (group for group in made if free and _fits(subject, group))
        group = next(fitting, None)
        if group is None:
            made.append([subject])
        else:
            group.append(subject)
    return [tuple(group) for group in made]


def _fits(subject: Subject, group: list[Subject]) -> bool:
    first = group[0]
    if (first.kind, first.transports) != (subject.kind, subject.transports) or first.id in _ALONE:
        return False
    if not first.parts or len(group) == _TOGETHER:
        return False
    return not any(subject.parts & other.parts for other in group)


def _variants() -> Iterator[Subject]:
    for variant in sorted(VARIANTS.values(), key=lambda variant: variant.id not in _ALONE):
        parts = _parts(variant.change, variant.arrange)
        transports = _named(variant.transport) or _transports(parts)
        yield Subject(Kind.VARIANT, variant.id, transports=transports, parts=parts)


def _open_points() -> Iterator[Subject]:
    for point in OPEN_POINTS.values():
        parts = _parts(point.change, point.arrange)
        transports = _named(point.transport) or _transports(parts)
        yield Subject(Kind.OPEN_POINT, point.id, point.requirement, transports, parts)


def _deviations(everywhere: bool) -> Iterator[Subject]:
    for deviation in DEVIATIONS.values():
        parts = _parts(deviation.change)
        both = everywhere and deviation.requirement != _COMPARES
        yield Subject(
            Kind.DEVIATION, deviation.id, deviation.requirement, _transports(parts) if both else (AUTO,), parts
        )


def _named(transport: Transport | None) -> tuple[str, ...]:
    return {"tcp": (AUTO,), "websocket": (WEBSOCKET,)}.get(transport or "", ())


def _transports(parts: frozenset[str]) -> tuple[str, ...]:
    """Return the transports on which parts can be seen: how a stream is cut says nothing about a WebSocket."""
    return (AUTO,) if parts == {"stream"} else TRANSPORTS


def _parts(change: Change, arrange: Callable[[Config], Config] = as_told) -> frozenset[str]:
    """Return the names of the parts of behaviour and configuration that a relay has different."""
    return frozenset((*_different(Behaviour(), change(Behaviour())), *_different(Config(), arrange(Config()))))


def _different(clean: Behaviour | Config | Writing, changed: Behaviour | Config | Writing) -> Iterator[str]:
    for part in fields(clean):
        before, after = getattr(clean, part.name), getattr(changed, part.name)
        if isinstance(before, Writing):
            yield from _different(before, after)
        elif before != after:
            yield part.name
