"""The same bytes in other pieces or at other times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.parts import Change, writing

_UNEVEN = (0.0, 0.12, 0.01, 0.25, 0.0, 0.06, 0.18, 0.03)  # seconds of delay of successive answers


def _pieces(size: int) -> Callable[[bytes], Iterator[bytes]]:
    return lambda data: (data[at : at + size] for at in range(0, len(data), size))


def _halves(data: bytes) -> Iterator[bytes]:
    middle = len(data) // 2
    yield from (half for half in (data[:middle], data[middle:]) if half)


def _jittery(behaviour: Behaviour) -> Behaviour:
    pauses = cycle(_UNEVEN)
    return writing(pause=lambda: next(pauses))(behaviour)


CHANGES: dict[str, Change] = {
    "dribble": writing(pieces=_pieces(1)),
    "trickle": writing(pieces=_pieces(16), gap=0.01),
    "split-records": writing(pieces=_halves),
    "merged-answers": writing(merge=True),
    "slow": writing(pause=lambda: 0.3),
    "jittery": _jittery,
}
