"""Faults of the transport: connections that don't come about or break, and bytes that come late or in other pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from cbspec_simulator.base.values import COUNT, LATER, SECONDS, SIZE, SIZES
from cbspec_simulator.faults.kind import (
    ConnectionEnd,
    Delivery,
    FaultKind,
    FaultLayer,
    Greeting,
    Handling,
    Param,
    Strike,
)

_PIECES_A_SECOND = 20  # of a limited bandwidth: fine enough to look steady, coarse enough to cost nothing


def _deaf(greeting: Greeting, strike: Strike) -> None:
    greeting.deaf = True


def _ending(name: str, sentence: str, stands_for: str, end: ConnectionEnd) -> FaultKind:
    """Return the kind that ends a connection: a new one at once, at a request, behind an answer or in the middle."""

    def at_once(point: Greeting | Handling, strike: Strike) -> None:
        point.end = end

    def behind(delivery: Delivery, strike: Strike) -> None:
        delivery.end = end
        delivery.length = strike["bytes"]

    params = {"bytes": Param(COUNT.says("so many bytes of the answer go out first (left out: all of it)"))}
    return FaultKind(
        name, FaultLayer.TRANSPORT, sentence, stands_for, params, connect=at_once, request=at_once, deliver=behind
    )


def _latency(delivery: Delivery, strike: Strike) -> None:
    delivery.pause += max(0.0, strike["seconds"] + strike.chance.uniform(-1.0, 1.0) * strike["jitter"])


def _bandwidth(delivery: Delivery, strike: Strike) -> None:
    rate = strike["bytes_per_second"]
    size = max(1, round(rate / _PIECES_A_SECOND))
    delivery.cuts.append(lambda data: ((len(piece) / rate, piece) for piece in _equal(data, size)))


def _dribble(delivery: Delivery, strike: Strike) -> None:
    size, gap = strike["bytes"], strike["seconds"]
    delivery.cuts.append(lambda data: ((gap * bool(number), piece) for number, piece in enumerate(_equal(data, size))))


def _split(delivery: Delivery, strike: Strike) -> None:
    places, gap = sorted(set(strike["at"])), strike["seconds"]

    def pieces(data: bytes) -> list[tuple[float, bytes]]:
        cuts = [0, *(place for place in places if place < len(data)), len(data)]
        parts = [data[start:end] for start, end in itertools.pairwise(cuts)]
        return [(gap * bool(number), part) for number, part in enumerate(parts)]

    delivery.cuts.append(pieces)


def _merge(delivery: Delivery, strike: Strike) -> None:
    delivery.join = strike["messages"]
    delivery.within = strike["seconds"]


def _equal(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


KINDS: Final = (
    FaultKind(
        "refuse",
        FaultLayer.TRANSPORT,
        "Nobody listens on the relay's port.",
        "a relay that is down",
        standing=True,
    ),
    FaultKind(
        "silent",
        FaultLayer.TRANSPORT,
        "Connections are accepted, TLS included, and nothing is ever said on them.",
        "a relay that hangs",
        connect=_deaf,
    ),
    _ending(
        "reset",
        "The connection is broken off by a TCP reset.",
        "a relay or a firewall that lost the connection",
        ConnectionEnd.RESET,
    ),
    _ending(
        "close",
        "The connection is closed in good order.",
        "a relay that ends connections of its own accord",
        ConnectionEnd.CLOSE,
    ),
    _ending(
        "close-without-notify",
        "The connection is closed below TLS: no close_notify says that nothing is missing.",
        "a relay that died, or somebody who cut the connection",
        ConnectionEnd.WITHOUT_NOTIFY,
    ),
    _ending(
        "half-close",
        "The relay says that it sends nothing more, and goes on reading.",
        "a connection that is half dead",
        ConnectionEnd.HALF,
    ),
    FaultKind(
        "latency",
        FaultLayer.TRANSPORT,
        "What the relay sends is on its way for a while; its order stays.",
        "a long way, or a busy relay",
        {
            "seconds": Param(LATER.says("how long"), required=True),
            "jitter": Param(LATER.says("so many seconds more or less, by chance"), 0.0),
        },
        deliver=_latency,
    ),
    FaultKind(
        "bandwidth",
        FaultLayer.TRANSPORT,
        "What the relay sends goes out no faster than this.",
        "a thin line",
        {"bytes_per_second": Param(SIZE.says("how fast"), required=True)},
        deliver=_bandwidth,
    ),
    FaultKind(
        "dribble",
        FaultLayer.TRANSPORT,
        "What the relay sends goes out in small TLS records, one after the other.",
        "CB-MSG-009",
        {
            "bytes": Param(SIZE.says("bytes of a record"), 1),
            "seconds": Param(LATER.says("between records"), 0.001),
        },
        deliver=_dribble,
    ),
    FaultKind(
        "split",
        FaultLayer.TRANSPORT,
        "What the relay sends is cut into TLS records behind these bytes.",
        "CB-MSG-009",
        {
            "at": Param(SIZES.says("behind how many bytes the next record begins"), required=True),
            "seconds": Param(LATER.says("between records"), 0.01),
        },
        deliver=_split,
    ),
    FaultKind(
        "merge",
        FaultLayer.TRANSPORT,
        "Several messages of the relay's go out as one TLS record.",
        "CB-MSG-009",
        {
            "messages": Param(SIZE.says("how many"), 2),
            "seconds": Param(SECONDS.says("how long the first waits for the others at most"), 0.2),
        },
        deliver=_merge,
    ),
)
