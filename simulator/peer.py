"""The asyncio edge of one connection: its socket, TLS layer, transport and time-outs around a session without I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from cbspec.tls import TlsFailed
from simulator.clock import Clock
from simulator.relay import Relay
from simulator.session import Action, Close, Send, Session
from simulator.steps import Dial

log = logging.getLogger("simulator")

LINGER = 2.0
"""Seconds for which a closed connection's late bytes are still read: closing a socket that has unread ones resets it,
and the client may lose what was sent to it last."""

_BEFORE_RESET = 0.05  # seconds; a reset throws away what hasn't left yet
_READ_AHEAD = 64 * 1024  # bytes that may wait while a remote end is dialled


@dataclass(eq=False, slots=True)
class Edge:
    """What the connections of one listening socket share; `peers` are those that are open."""

    relay: Relay
    context: ssl.SSLContext
    clock: Clock
    peers: set[Peer] = field(default_factory=set)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def lost(self, peer: Peer) -> None:
        """Take note that a connection is gone."""
        self.peers.discard(peer)
        if not self.peers:
            self.empty.set()


class Peer(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_client_done",
        "_dialling",
        "_edge",
        "_finished",
        "_head",
        "_held_up",
        "_last",
        "_later",
        "_layer",
        "_session",
        "_timer",
        "_transport",
        "_waiting",
        "_write_full",
    )

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._layer = edge.relay.behaviour.layer(edge.context)
        self._transport: asyncio.Transport
        self._session: Session | None = None
        self._head = b""
        self._last = edge.clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting = 0
        self._write_full = False
        self._held_up = False
        self._later: deque[tuple[float, Action]] = deque()
        self._client_done = False
        self._finished = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; asyncio has set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)
        self._edge.peers.add(self)
        self._edge.empty.clear()
        self._arm(self._edge.relay.config.limits.handshake_timeout)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if not self._finished and not self._client_done:
            self._guarded(lambda: self._received(data))

    def eof_received(self) -> bool:
        """Take note that the client sends nothing more; what is under way still goes out."""
        if not self._finished:
            self._layer.receive_eof()
            self._guarded(self._client_ended)
        return not self._finished

    def connection_lost(self, exc: Exception | None) -> None:
        """Give everything back."""
        self._finished = True
        if self._write_full:
            self._full(False)
        self._end_session(reset=exc is not None)
        if self._timer is not None:
            self._timer.cancel()
        self._later.clear()
        self._edge.lost(self)

    def pause_writing(self) -> None:
        """Read nothing more from a client that doesn't read."""
        self._full(True)

    def resume_writing(self) -> None:
        """Read on."""
        self._full(False)

    def hold_up(self, held: bool) -> None:
        """Read nothing, or read on, whatever the client does."""
        self._held_up = held
        self._throttle()

    def finish(self) -> None:
        """Say what is left to be said, and close."""
        if self._finished:
            return
        if self._session is not None:
            with contextlib.suppress(ssl.SSLError):  # it is TLS itself that may have failed
                for action in self._session.close():
                    self._perform(action)
        self._finished = True
        self._end_session()
        self._later.clear()
        writing = self._edge.relay.behaviour.writing
        if writing.reset and not self._client_done:
            self._arm(_BEFORE_RESET, self._reset)
            return
        if writing.close_notify:
            self._layer.close()
        self._flush()
        self._arm(LINGER, self._transport.abort)
        if self._client_done:
            self._transport.close()
        elif not self._transport.is_closing():
            try:
                self._transport.write_eof()
            except OSError:  # the client reset the connection, and asyncio hasn't noticed yet
                self._transport.abort()

    def abort(self) -> None:
        """Close at once, whatever is left to be said."""
        self._transport.abort()

    def _reset(self) -> None:
        """Close by a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do the work; what goes wrong in it ends this connection and no other."""
        try:
            work()
        except TlsFailed as error:
            log.debug("TLS: %s", error)
            self.finish()
        except Exception:
            log.exception("a connection failed and is closed")
            self.finish()
            self._edge.relay.behaviour.crashed(tuple(self._edge.peers))

    def _received(self, data: bytes) -> None:
        shaking_hands = not self._layer.established
        try:
            plain = self._layer.receive_data(data)
        finally:
            self._flush()
        if shaking_hands and self._layer.established:
            self._last = self._edge.clock.monotonic()
            self._arm(self._edge.relay.config.limits.idle_timeout)
        if plain or (shaking_hands and self._layer.established):
            self._read(plain)
        if self._layer.ended and not self._finished:
            self._client_ended()

    def _read(self, plain: bytes) -> None:
        session = self._session
        if session is None:
            self._head += plain
            websocket = self._edge.relay.behaviour.is_websocket(self._head)
            if websocket is None:
                return
            name = self._transport.get_extra_info("peername")
            session = self._session = self._edge.relay.connect(name[0], websocket=websocket)
            plain, self._head = self._head, b""
            if websocket:
                self._arm(self._edge.relay.config.limits.handshake_timeout)
        if self._dialling is not None:
            self._waiting += len(plain)
            self._throttle()
        actions = session.receive_data(plain, self._edge.clock.now())
        if actions:
            # Only what completes a message counts as life: a byte now and then must not hold a connection for ever.
            self._last = self._edge.clock.monotonic()
        self._do(actions)

    def _do(self, actions: list[Action]) -> None:
        writing = self._edge.relay.behaviour.writing
        now = due = asyncio.get_running_loop().time()
        if self._later:
            due = self._later[-1][0]
        for action in _merged(actions) if writing.merge else actions:
            due = max(due, now + writing.pause())
            for number, piece in enumerate(_cut(action, writing.pieces)):
                due += writing.gap if number else 0.0
                self._perform_at(due, piece, now)

    def _perform_at(self, due: float, action: Action, now: float) -> None:
        """Perform an action when it is due, behind all that is due before it."""
        if due <= now and not self._later:
            self._perform(action)
            return
        if not self._later:
            asyncio.get_running_loop().call_at(due, self._guarded, self._release)
        self._later.append((due, action))

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        while self._later and self._later[0][0] <= loop.time():
            self._perform(self._later.popleft()[1])
        if self._later:
            loop.call_at(self._later[0][0], self._guarded, self._release)
        elif self._client_done:
            self.finish()

    def _perform(self, action: Action) -> None:
        if self._finished:
            return
        if isinstance(action, Send):
            self._layer.send(action.data)
            self._flush()
        elif isinstance(action, Dial):
            self._dialling = asyncio.get_running_loop().create_task(self._dial(action))
        elif isinstance(action, Close):
            self.finish()

    async def _dial(self, wanted: Dial) -> None:
        try:
            async with asyncio.timeout(self._edge.relay.config.relay.probe_timeout):
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_connection(asyncio.Protocol, wanted.host, wanted.port)
        except (OSError, ValueError):  # a time-out is an OSError, a host that can't be a name a ValueError
            reached = False
        else:
            transport.abort()
            reached = True
        self._dialling = None
        self._waiting = 0
        self._throttle()
        if self._session is not None:
            session = self._session
            self._guarded(lambda: self._do(session.dialled(reached, self._edge.clock.now())))

    def _client_ended(self) -> None:
        self._client_done = True
        self._end_session()
        if not self._later:
            self.finish()

    def _end_session(self, *, reset: bool = False) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._session is None:
            return
        if late := self._edge.relay.behaviour.notices_after:
            asyncio.get_running_loop().call_later(late, partial(self._session.end, reset=reset))
        else:
            self._session.end(reset=reset)

    def _full(self, full: bool) -> None:
        self._write_full = full
        self._throttle()
        self._edge.relay.behaviour.stuck(tuple(self._edge.peers - {self}), full)

    def _throttle(self) -> None:
        if self._write_full or self._held_up or self._waiting > _READ_AHEAD:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _flush(self) -> None:
        data = self._layer.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _arm(self, seconds: float, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, then or self._look_at_clock)

    def _look_at_clock(self) -> None:
        """Close what has been silent for too long; what is said in between doesn't touch the timer."""
        limits = self._edge.relay.config.limits
        talking = self._layer.established and (self._session is None or self._session.opened)
        allowed = limits.idle_timeout if talking else limits.handshake_timeout
        left = self._last + allowed - self._edge.clock.monotonic()
        if left > 0:
            self._arm(left)
        else:
            self.finish()


def _cut(action: Action, pieces: Callable[[bytes], Iterable[bytes]]) -> Iterable[Action]:
    """Cut what is sent into pieces, each of which becomes a TLS record."""
    return map(Send, pieces(action.data)) if isinstance(action, Send) else (action,)


def _merged(actions: Iterable[Action]) -> list[Action]:
    """Join what is sent in a row."""
    joined: list[Action] = []
    for action in actions:
        if isinstance(action, Send) and joined and isinstance(joined[-1], Send):
            joined[-1] = Send(joined[-1].data + action.data)
        else:
            joined.append(action)
    return joined
