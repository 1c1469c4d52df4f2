"""A relay in memory with a clock of its own: what a session does is seen without a socket and without waiting."""

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
"""Seconds after the request, and what comes then: bytes or the end of the connection."""
Relay = Callable[[dict[str, Any]], Iterable[Reply]]
"""What comes of a request."""


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
        """Give the relay every whole line."""
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
        """Let something come after `delay` seconds."""
        heapq.heappush(self._due, (self._manual.now + delay, next(self._order), what))

    def receive(self, wait: float) -> bytes:
        """Return what is due next, if that is soon enough; let the time pass."""
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
        """End it from our side."""
        self.finish(End.OURS)
        return True


def line(message: object) -> bytes:
    """Return a message as a relay writes it."""
    return json.dumps(message).encode() + b"\n"


def answer(request: dict[str, Any]) -> bytes:
    """Return what a conforming relay answers after auth."""
    kind = str(request.get("type"))
    if kind == "tunnel_info":
        return line({**SUCCESSES[kind], "tunnel_id": request.get("tunnel_id")})
    return line(SUCCESSES[kind]) if kind in SUCCESSES else line(error("unknown_message_type"))


def conforming(delay: float = 0.001) -> Relay:
    """Return a relay that answers everything, each answer as late as the next."""
    return lambda request: [(delay, answer(request))]


class MemoryProbe:
    """A session with a relay in memory, and every exchange that it observed."""

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
        self.asked_alive = 0
        surroundings = Surroundings(tempo or Tempo(5.0), pacer or Pacer(Profile()), self._observe, self._is_alive)
        channel = Channel(self.wire, framer or stream_framer(), self.transcript)
        self.session = ProbeSession(channel, surroundings, fence)
        self.session.assume(authenticated=authenticated)

    def _observe(self, exchange: Exchange) -> Exchange:
        self.observed.append(exchange)
        return exchange

    def _is_alive(self) -> bool:
        self.asked_alive += 1
        return self.alive
