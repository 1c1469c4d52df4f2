"""Ways to be brought down: what one connection sends harms others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from weakref import WeakSet

from cbspec.protocol.connection import Framer
from cbspec.protocol.framing import Frame, StreamFramer
from cbspec.protocol.strictjson import NotStrictJson
from cbspec_simulator.relay.behaviour import AnswerContext, Behaviour, Body, Closable, Readable
from cbspec_simulator.settings.config import LimitSettings
from cbspec_simulator.variations.compose import Change, answers, part
from cbspec_simulator.variations.deviations.kind import Deviation

_HUGE = 64 * 1024


class _Hogging(StreamFramer):
    """Reads nothing on other connections for as long as one of them holds a huge message."""

    __slots__ = ("__weakref__", "_hogs")

    def __init__(self, limits: LimitSettings, hogs: WeakSet[_Hogging]) -> None:
        super().__init__(max_message=limits.max_message, max_depth=limits.max_depth)
        self._hogs = hogs

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if len(self.pending) > _HUGE:
            self._hogs.add(self)

    def next_frame(self) -> Frame | None:
        return super().next_frame() if not self._hogs or self in self._hogs else None


def _hogged(behaviour: Behaviour) -> Behaviour:
    hogs: WeakSet[_Hogging] = WeakSet()

    def stream(limits: LimitSettings) -> Framer:
        return _Hogging(limits, hogs)

    return replace(behaviour, stream=stream)


def close_all(others: Iterable[Closable]) -> None:
    """Bring every connection down."""
    for other in others:
        other.abort()


def _hold_all_up(others: Iterable[Readable], stuck: bool) -> None:
    for other in others:
        other.hold_up(stuck)


def _too_deep(error: NotStrictJson) -> bool:
    return "deeper" in error.reason


def _falls(behaviour: Behaviour) -> Behaviour:
    """Fail on deep nesting, with every connection."""

    def decode(frame: Frame, max_depth: int) -> object:
        try:
            return behaviour.decode(frame, max_depth)
        except NotStrictJson as error:
            if _too_deep(error):
                raise RecursionError("too deep, and nobody looked") from None
            raise

    return replace(behaviour, decode=decode, crashed=close_all)


def _sulks(behaviour: Behaviour) -> Behaviour:
    """Answer no further hello once something nested too deep."""
    hurt = False

    def decode(frame: Frame, max_depth: int) -> object:
        nonlocal hurt
        try:
            return behaviour.decode(frame, max_depth)
        except NotStrictJson as error:
            hurt = hurt or _too_deep(error)
            raise

    def nothing_when_hurt(body: Body, _: AnswerContext) -> list[Body]:
        return [] if hurt else [body]

    change: Change = answers("hello_response", nothing_when_hurt)
    return change(replace(behaviour, decode=decode))


DEVIATIONS = (
    Deviation(
        "unread-answers-block-all",
        "CB-ROB-001",
        "While one client doesn't read its answers, nothing is read on the connections that were open before.",
        part(stuck=_hold_all_up),
    ),
    Deviation(
        "huge-message-blocks-all",
        "CB-ROB-001",
        "While one connection holds a huge message, nothing is read on the others.",
        _hogged,
    ),
    Deviation(
        "deep-nesting-closes-all",
        "CB-ROB-001",
        "Deep nesting on one connection brings all of them down.",
        _falls,
    ),
    Deviation(
        "deep-nesting-ends-service",
        "CB-ROB-002",
        "After deep nesting on one connection no new one is served.",
        _sulks,
    ),
)
