"""A relay in memory with a manual clock: tests of a session need no socket and no waiting."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from cbspec.profile.profile import Profile
from cbspec.protocol.framing import StreamFramer
from cbspec_conformance.probe.channel import Channel
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.session import ProbeSession, Surroundings
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.probe.wire import Wire
from cbspec_conformance.record.exchange import Exchange
from cbspec_conformance.record.frames import stream_framer
from cbspec_conformance.record.transcript import Bytes, Direction, End, Transcript
from tests.conformance.build import SUCCESSES, error

Reply = tuple[float, bytes | End]
"""Seconds after the request, and the bytes sent then, or the end of the connection."""
Relay = Callable[[dict[str, Any]], Iterable[Reply]]
"""Maps a request to replies."""


class ManualClock:
    """A clock that advances only while the code under test waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class MemoryWire(Wire):
    """A wire without a socket: requests go to a function, and its replies arrive when they are due."""

    def __init__(self, relay: Relay, clock: ManualClock, transcript: Transcript) -> None:
        super().__init__(1, transcript, 5.0)
        self._manual = clock
        self.sent: list[dict[str, Any]] = []
        self._relay = relay
        self._unread = b""
        self._due: list[tuple[float, int, bytes | End]] = []
        self._order = itertools.count()

    @property
    def now(self) -> float:
        """The time."""
        return self._manual.now

    def send(self, data: bytes) -> None:
        """Pass each complete line to the relay."""
        if self.ended:
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            try:
                request = json.loads(line)
            except ValueError:
                request = {"type": "not JSON"}
            self.sent.append(request)
            for delay, what in self._relay(request):
                self.later(delay, what)

    def later(self, delay: float, what: bytes | End) -> None:
        """Schedule a reply after `delay` seconds."""
        heapq.heappush(self._due, (self._manual.now + delay, next(self._order), what))

    def receive(self, wait: float) -> bytes:
        """Return the next reply if it is due within `wait` seconds, and advance the clock."""
        if self.ended:
            return b""
        if not self._due or self._due[0][0] > self._manual.now + wait:
            self._manual.now += wait
            return b""
        due, _, what = heapq.heappop(self._due)
        self._manual.now = max(self._manual.now, due)
        if isinstance(what, End):
            self.finish(what)
            return b""
        self._transcript.add(Bytes(self._transcript.now(), 1, Direction.RECEIVED, what))
        return what

    def close(self, wait: float = 0.0) -> bool:
        """Close the connection."""
        self.finish(End.OURS)
        return True


def line(message: object) -> bytes:
    """Return a message as one line of JSON."""
    return json.dumps(message).encode() + b"\n"


def answer(request: dict[str, Any]) -> bytes:
    """Return the answer of a conforming relay after auth."""
    kind = str(request.get("type"))
    if kind == "tunnel_info":
        return line({**SUCCESSES[kind], "tunnel_id": request.get("tunnel_id")})
    return line(SUCCESSES[kind]) if kind in SUCCESSES else line(error("unknown_message_type"))


def conforming(delay: float = 0.001) -> Relay:
    """Return a relay that answers every request after the same delay."""
    return lambda request: [(delay, answer(request))]


class MemoryProbe:
    """A session with a relay in memory, and the exchanges that it observed."""

    def __init__(
        self,
        relay: Relay,
        clock: ManualClock,
        *,
        authenticated: bool = True,
        tempo: Tempo | None = None,
        pacer: Pacer | None = None,
        framer: StreamFramer | None = None,
        fence: str = "heartbeat",
    ) -> None:
        self.observed: list[Exchange] = []
        self.transcript = Transcript(clock)
        self.wire = MemoryWire(relay, clock, self.transcript)
        self.alive = True
        self.alive_checks = 0
        surroundings = Surroundings(tempo or Tempo(5.0), pacer or Pacer(Profile()), self._observe, self._is_alive)
        channel = Channel(self.wire, framer or stream_framer(), self.transcript)
        self.session = ProbeSession(channel, surroundings, fence)
        self.session.assume(authenticated=authenticated)

    def _observe(self, exchange: Exchange) -> Exchange:
        self.observed.append(exchange)
        return exchange

    def _is_alive(self) -> bool:
        self.alive_checks += 1
        return self.alive
