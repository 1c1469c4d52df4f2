"""The relays that the suite is tried on: the clean one, each deviation, each variant, each open point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum

from cbspec.target import Transport
from simulator import DEVIATIONS, OPEN_POINTS, VARIANTS
from simulator.behaviour import Behaviour
from simulator.compose import Change

AUTO, WEBSOCKET = TRANSPORTS = ("auto", "websocket")
"""What the cases are told to speak: auto is TCP, with the WebSocket's own cases beside it."""

_COMPARES = "CB-WSK-006"  # the requirement that needs both transports to be told from a relay that is wrong on both


class Kind(StrEnum):
    """What a relay is, and so what the suite must say of it."""

    CLEAN = "clean"
    DEVIATION = "deviation"
    VARIANT = "variant"
    OPEN_POINT = "open-point"


@dataclass(frozen=True, slots=True)
class Subject:
    """One relay. `requirement` is what a deviation breaks, or what an open point shows; `transports` where it can."""

    kind: Kind
    id: str
    requirement: str = ""
    transports: tuple[str, ...] = TRANSPORTS

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `cbspec simulate` that make the relay."""
        return () if self.kind is Kind.CLEAN else (f"--{self.kind}", self.id)


def subjects() -> list[Subject]:
    """Return every relay, those first whose runs are the longest."""
    return [Subject(Kind.CLEAN, "clean"), *_lenient(), *_deviations()]


def _lenient() -> Iterator[Subject]:
    for variant in sorted(VARIANTS.values(), key=lambda variant: variant.id != "slow"):
        yield Subject(Kind.VARIANT, variant.id, transports=_named(variant.transport) or _transports(variant.change))
    for point in OPEN_POINTS.values():
        transports = _named(point.transport) or _transports(point.change)
        yield Subject(Kind.OPEN_POINT, point.id, point.requirement, transports)


def _deviations() -> Iterator[Subject]:
    for deviation in DEVIATIONS.values():
        transports = (AUTO,) if deviation.requirement == _COMPARES else _transports(deviation.change)
        yield Subject(Kind.DEVIATION, deviation.id, deviation.requirement, transports)


def _named(transport: Transport | None) -> tuple[str, ...]:
    return {"tcp": (AUTO,), "websocket": (WEBSOCKET,)}.get(transport or "", ())


def _transports(change: Change) -> tuple[str, ...]:
    """Return the transports on which a change can be seen: how a stream is cut says nothing about a WebSocket."""
    clean = Behaviour()
    changed = change(clean)
    parts = {part.name for part in fields(Behaviour) if getattr(changed, part.name) != getattr(clean, part.name)}
    return (AUTO,) if parts == {"stream"} else TRANSPORTS
