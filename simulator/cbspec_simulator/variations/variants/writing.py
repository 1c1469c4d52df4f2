"""Ways to put the same bytes on the wire: in pieces, together, late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.variations.compose import Change, writing
from cbspec_simulator.variations.variants.kind import Variant

_SLOW = 0.3  # seconds
_UNEVEN = (0.0, 0.12, 0.01, 0.25, 0.0, 0.06, 0.18, 0.03)  # seconds, one answer after another


def _pieces(size: int) -> Callable[[bytes], Iterator[bytes]]:
    return lambda data: (data[at : at + size] for at in range(0, len(data), size))


def _halves(data: bytes) -> Iterator[bytes]:
    middle = len(data) // 2
    yield from (half for half in (data[:middle], data[middle:]) if half)


def _jittery(behaviour: Behaviour) -> Behaviour:
    pauses = cycle(_UNEVEN)
    return writing(pause=lambda: next(pauses))(behaviour)


def _late(seconds: float) -> Change:
    return writing(pause=lambda: seconds)


VARIANTS = (
    Variant("dribble", "Every byte goes out in a TLS record of its own.", writing(pieces=_pieces(1))),
    Variant(
        "trickle", "Every message goes out in pieces of 16 bytes, 10 ms apart.", writing(pieces=_pieces(16), gap=0.01)
    ),
    Variant("split-records", "Every message goes out in two TLS records.", writing(pieces=_halves)),
    Variant("merged-answers", "Answers to requests that arrived together go out as one.", writing(merge=True)),
    Variant("slow", "Every answer comes 300 ms late.", _late(_SLOW)),
    Variant("jittery", "Answers come up to a quarter of a second late, each by another time.", _jittery),
)
