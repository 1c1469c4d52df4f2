"""Transport faults: connections that fail or break, and bytes that come late or in other pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final

from msgspec import Meta

from cbspec.documents import Count, Seconds
from cbspec_simulator.base.values import Delay, Natural
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

_Positions = Annotated[tuple[Count, ...], Meta(min_length=1, title="an array of whole numbers, 1 or more")]
_PIECES_A_SECOND = 20  # of a limited bandwidth: more pieces cost time, fewer look like bursts


def _unresponsive(greeting: Greeting, strike: Strike) -> None:
    greeting.unresponsive = True


_kind = partial(FaultKind, FaultLayer.TRANSPORT)


def _ending(end: ConnectionEnd, sentence: str, stands_for: str) -> FaultKind:
    """Return the kind that ends a connection: when it opens, at a request, or during or after an answer."""

    def instead(point: Greeting | Handling, strike: Strike) -> None:
        point.end = end

    def after(delivery: Delivery, strike: Strike) -> None:
        delivery.end = end
        delivery.length = strike["bytes"]

    params = {"bytes": Param(Natural, "bytes of the answer that are sent before (default: all of them)")}
    return _kind(end.value, sentence, stands_for, params, connect=instead, request=instead, deliver=after)


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
    _kind("refuse", "The relay's port refuses connections.", "a relay that is down", standing=True),
    _kind(
        "silent",
        "The relay accepts connections, completes TLS and never sends a message.",
        "a relay that hangs",
        connect=_unresponsive,
    ),
    _ending(
        ConnectionEnd.RESET,
        "The connection ends with a TCP reset.",
        "a relay or a firewall that lost the connection's state",
    ),
    _ending(ConnectionEnd.CLOSE, "The connection is closed properly.", "a relay that closes connections on its own"),
    _ending(
        ConnectionEnd.WITHOUT_NOTIFY,
        "The connection is closed without close_notify, so the client cannot tell whether data is missing.",
        "a crashed relay, or a truncation attack",
    ),
    _ending(
        ConnectionEnd.HALF,
        "The relay ends its half of the connection and continues to read.",
        "a half-open connection",
    ),
    _kind(
        "latency",
        "Everything that the relay sends arrives later, in the same order.",
        "a long distance, or a busy relay",
        {
            "seconds": Param(Delay, "the delay in seconds", required=True),
            "jitter": Param(Delay, "maximum random deviation from the delay, in seconds", 0.0),
        },
        deliver=_latency,
    ),
    _kind(
        "bandwidth",
        "The relay sends at a limited rate.",
        "a slow network",
        {"bytes_per_second": Param(Count, "the rate", required=True)},
        deliver=_bandwidth,
    ),
    _kind(
        "dribble",
        "The relay sends in many small TLS records.",
        "CB-MSG-009",
        {
            "bytes": Param(Count, "bytes per record", 1),
            "seconds": Param(Delay, "seconds between records", 0.001),
        },
        deliver=_dribble,
    ),
    _kind(
        "split",
        "Everything that the relay sends is split into TLS records at these positions.",
        "CB-MSG-009",
        {
            "at": Param(_Positions, "positions at which a new record begins, in bytes", required=True),
            "seconds": Param(Delay, "seconds between records", 0.01),
        },
        deliver=_split,
    ),
    _kind(
        "merge",
        "Several messages are sent as one TLS record.",
        "CB-MSG-009",
        {
            "messages": Param(Count, "messages per record", 2),
            "seconds": Param(Seconds, "maximum seconds that the first message waits", 0.2),
        },
        deliver=_merge,
    ),
)
