"""A relay in memory with a clock of its own: what a session does is seen without a socket and without waiting."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from cbspec_conformance.probe.session import Session
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


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class MemoryWire(Wire):
    """A wire without a socket: requests go to a function, and its replies arrive when they are due."""

    def __init__(self, relay: Relay, clock: Clock, transcript: Transcript) -> None:
        super().__init__(1, transcript, 5.0)
        self.sent: list[dict[str, Any]] = []
        self._relay = relay
        self._clock = clock
        self._unread = b""
        self._due: list[tuple[float, int, bytes | End]] = []
        self._order = itertools.count()

    @property
    def now(self) -> float:
        """The time."""
        return self._clock.now

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
        heapq.heappush(self._due, (self._clock.now + delay, next(self._order), what))

    def receive(self, wait: float) -> bytes:
        """Return what is due next, if that is soon enough; let the time pass."""
        if self.ended:
            return b""
        if not self._due or self._due[0][0] > self._clock.now + wait:
            self._clock.now += wait
            return b""
        due, _, what = heapq.heappop(self._due)
        self._clock.now = max(self._clock.now, due)
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


class Probe:
    """A session with a relay in memory, and every exchange that it observed."""

    def __init__(
        self,
        relay: Relay,
        clock: Clock,
        *,
        authenticated: bool = True,
        tempo: Tempo | None = None,
        **options: Any,  # noqa: ANN401 - Session's own options
    ) -> None:
        self.observed: list[Exchange] = []
        self.transcript = Transcript(clock.monotonic)
        self.wire = MemoryWire(relay, clock, self.transcript)
        self.alive = True
        self.asked_alive = 0
        self.session = Session(
            self.wire,
            stream_framer(),
            self.transcript,
            tempo=tempo or Tempo(5.0),
            observe=self.observed.append,
            alive=self._is_alive,
            **options,
        )
        self.session.authenticated = authenticated

    def _is_alive(self) -> bool:
        self.asked_alive += 1
        return self.alive
