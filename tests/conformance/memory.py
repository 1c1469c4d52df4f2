"""A relay in memory with its own clock: sessions are tested without sockets and without waiting."""

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
from cbspec_conformance.record.frames import LARGEST
from cbspec_conformance.record.transcript import Bytes, Direction, End, Message, Transcript
from tests.conformance.build import SUCCESSES, error

Reply = tuple[float, bytes | End]  # seconds after the request, and bytes or the end of the connection
Relay = Callable[[dict[str, Any]], Iterable[Reply]]  # returns the replies to a request


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
    """A connection without a socket: requests go to a function, and its replies arrive when they are due."""

    def __init__(self, relay: Relay, clock: ManualClock, transcript: Transcript) -> None:
        nothing: Any = None
        super().__init__(1, transcript, nothing, nothing, 5.0)
        self._manual = clock
        self.sent: list[dict[str, Any]] = []
        self._relay = relay
        self._unread = b""
        self._due: list[tuple[float, int, bytes | End]] = []
        self._order = itertools.count()

    def send(self, data: bytes) -> None:
        """Pass every complete line to the relay."""
        if self.ended:
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for text in lines:
            try:
                request = json.loads(text)
            except ValueError:
                request = {"type": "not JSON"}
            self.sent.append(request)
            for delay, reply in self._relay(request):
                heapq.heappush(self._due, (self._manual.now + delay, next(self._order), reply))

    def receive(self, wait: float) -> bytes:
        """Return the next reply if it is due in time; advance the clock."""
        if self.ended:
            return b""
        if not self._due or self._due[0][0] > self._manual.now + wait:
            self._manual.now += wait
            return b""
        due, _, reply = heapq.heappop(self._due)
        self._manual.now = max(self._manual.now, due)
        if isinstance(reply, End):
            self.finish(reply)
            return b""
        self._transcript.add(Bytes(self._transcript.now(), 1, Direction.RECEIVED, reply))
        if self._due and self._due[0][0] == due and isinstance(end := self._due[0][2], End):
            self.finish(end)  # one read of a socket returns both
        return reply

    def finish(self, how: End, detail: str = "") -> None:
        self._end(how, detail)

    def close(self, wait: float | None = 0.0) -> bool:
        self.finish(End.OURS)
        return True


def line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


def answer(request: dict[str, Any]) -> bytes:
    """Return the answer of a conforming relay after auth."""
    kind = str(request.get("type"))
    if kind == "tunnel_info":
        return line({**SUCCESSES[kind], "tunnel_id": request.get("tunnel_id")})
    return line(SUCCESSES[kind]) if kind in SUCCESSES else line(error("unknown_message_type"))


def conforming(delay: float = 0.001) -> Relay:
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
        self.is_alive: Callable[[], bool] | None = None
        self.asked_alive = 0
        surroundings = Surroundings(tempo or Tempo(5.0), pacer or Pacer(Profile()), self._observe, self._is_alive)
        channel = Channel(self.wire, framer or StreamFramer(max_message=LARGEST), self.transcript)
        self.session = ProbeSession(channel, surroundings, fence)
        self.session.assume(authenticated=authenticated)

    @property
    def fences(self) -> int:
        return sum(isinstance(record, Message) and record.meant == "fence" for record in self.transcript.records)

    def _observe(self, exchange: Exchange) -> Exchange:
        self.observed.append(exchange)
        return exchange

    def _is_alive(self) -> bool:
        self.asked_alive += 1
        return self.is_alive() if self.is_alive is not None else self.alive
