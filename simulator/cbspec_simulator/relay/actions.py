"""The actions that a session asks the edge to perform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cbspec_simulator.base.steps import IoRequest
from cbspec_simulator.faults.kind import ConnectionEnd, Delivery
from cbspec_simulator.relay.events import Delivered, EndedBy, Sent


class SendAction(NamedTuple):
    """Send bytes to the client, at once or as `delivery` says; publish the events of `then` after the last byte."""

    data: bytes
    delivery: Delivery | None = None
    then: tuple[Sent | Delivered, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitAction:
    """Call `resume` after so many seconds, once every gate is open; the session handles no request until then."""

    seconds: float
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseAction:
    """End the connection after everything that was sent, in the relay's usual way (None) or in another one.

    `by` is the first cause: the relay, a fault, or a client that has closed its WebSocket.
    """

    how: ConnectionEnd | None = None
    by: EndedBy = EndedBy.RELAY


Action = SendAction | IoRequest | WaitAction | CloseAction
