"""The asyncio edge of one connection: its socket, TLS layer, transport and time-outs around a session without I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from cbspec.protocol.tls import TlsFailed
from cbspec_simulator.base.steps import Dial, Refresh
from cbspec_simulator.edge.edge import Edge
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.edge.read_throttle import ReadThrottle
from cbspec_simulator.faults.kind import ConnectionEnd, Greeting
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.session import Action, CloseAction, RelaySession, SendAction, WaitAction, connect
from cbspec_simulator.settings.keyring import Keyring

log = logging.getLogger("simulator")

LINGER = 2.0
"""Seconds for which a closed connection's late bytes are still read: closing a socket that has unread ones resets it,
and the client may lose what was sent to it last."""

_AS_EVER = Greeting()
_BEFORE_RESET = 0.05  # seconds; a reset throws away what hasn't left yet
_AT_ONCE = 256  # actions of one connection before the others have their turn
_READ_AHEAD = 64 * 1024  # bytes that may wait while a request is put off, a remote end dialled, or keys fetched
_MUCH = 16 * 1024  # bytes, more of which are read more slowly where nobody listens to them
_GAP = 0.0005  # seconds


class Peer(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_client_done",
        "_edge",
        "_errand",
        "_finished",
        "_greeting",
        "_head",
        "_held_up",
        "_last",
        "_layer",
        "_next_turn",
        "_outbox",
        "_said",
        "_session",
        "_shut",
        "_timer",
        "_transport",
        "_turns",
        "_waiting",
        "_wake",
        "_write_full",
        "_written",
        "number",
    )

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.number = edge.relay.accept()
        self._greeting = self._met()
        self._layer = edge.relay.behaviour.layer(self._context())
        self._transport: asyncio.Transport
        self._session: RelaySession | None = None
        self._head = b""
        self._last = edge.clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._errand: asyncio.Task[None] | None = None
        self._waiting = 0
        self._write_full = False
        self._outbox = Outbox(edge.relay.behaviour.writing)
        self._wake: asyncio.TimerHandle | None = None
        self._turns = ReadThrottle(edge.crowd)
        self._next_turn: asyncio.TimerHandle | None = None
        self._written = 0
        self._said = False  # all that TLS had to say about what came
        self._shut = False
        self._held_up = False
        self._client_done = False
        self._finished = False

    def _met(self) -> Greeting:
        """Return how faults have the connection met."""
        faults = self._edge.relay.faults
        if not faults.active:
            return _AS_EVER
        greeting = Greeting()
        for strike in faults.at(Occasion(MessageDirection.CONNECT, self.number), self._edge.clock.monotonic()):
            if strike.kind.connect is not None:
                strike.kind.connect(greeting, strike)
        return greeting

    def _context(self) -> ssl.SSLContext:
        wanted = self._greeting.tls
        return self._edge.contexts(wanted, self._greeting.lifetime) if wanted else self._edge.contexts.own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._edge.added(self)
        self._arm(self._edge.relay.config.limits.handshake_timeout)
        if self._greeting.end is not None:
            self.finish(self._greeting.end)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if self._finished or self._client_done:
            if len(data) > _MUCH:
                self._transport.pause_reading()
                asyncio.get_running_loop().call_later(_GAP, self._transport.resume_reading)
            return
        try:
            self._received(data)
        except Exception as error:
            self._failed(error)

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
        for timer in (self._timer, self._wake, self._next_turn):
            if timer is not None:
                timer.cancel()
        self._outbox.clear()
        self._edge.relay.faults.forget(self.number)
        self._edge.lost(self)

    def pause_writing(self) -> None:
        """Read nothing more from a client that doesn't read."""
        self._full(True)

    def resume_writing(self) -> None:
        """Read on, and go on with what is still to be sent."""
        self._full(False)
        self._guarded(self._release)
        self._guarded(self._plan_turn)

    def hold_up(self, held: bool) -> None:
        """Read nothing, or read on, whatever the client does."""
        self._held_up = held
        self._throttle()

    def finish(self, how: ConnectionEnd | None = None) -> None:
        """Say what is left to be said, and close, in the relay's usual way or in another one."""
        if self._finished or (how is ConnectionEnd.HALF and self._shut):
            return
        if how is ConnectionEnd.HALF:
            self._end_writing(notify=True)
            self._shut = True
            return
        if self._session is not None and how is None and not self._session.ended:
            with contextlib.suppress(ssl.SSLError):  # it is TLS itself that may have failed
                for action in self._session.close():
                    self._perform(action)
        self._finished = True
        if self._session is not None:
            self._end_session()
            self._session = None  # with half of a message that may be large, and nobody will complete
        self._outbox.clear()
        self._turns.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._waiting = 0
        self._throttle()  # what still comes is read, or closing would reset the connection
        writing = self._edge.relay.behaviour.writing
        if how is ConnectionEnd.RESET or (how is None and writing.reset and not self._client_done):
            self._flush()  # an alert, where it was TLS that failed
            self._arm(_BEFORE_RESET, self._reset)
            return
        self._end_writing(notify=how is ConnectionEnd.CLOSE or (how is None and writing.close_notify))
        if not self._client_done or self._transport.get_write_buffer_size():
            self._arm(LINGER, self._transport.abort)

    def _end_writing(self, *, notify: bool) -> None:
        """Send nothing more, with TLS's own word for it or without."""
        if notify:
            self._layer.close()
        self._flush()
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

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        """Do the work; what goes wrong in it ends this connection and no other."""
        try:
            work(*args)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, TlsFailed):
            log.debug("TLS: %s", error)
            self.finish()
            return
        log.error("a connection failed and is closed", exc_info=error)
        self.finish()
        self._edge.relay.behaviour.crashed(tuple(self._edge.peers.values()))

    def _received(self, data: bytes) -> None:
        if self._greeting.alert is not None:
            self._transport.write(bytes((21, 3, 3, 0, 2, 2, self._greeting.alert)))  # a record with a fatal alert
            self.finish(ConnectionEnd.WITHOUT_NOTIFY)
            return
        layer = self._layer
        self._said = False
        shaking_hands = not layer.established
        plain = layer.receive_data(data)
        if shaking_hands and layer.established:
            self._shaken()
        if self._greeting.unresponsive:
            plain, shaking_hands = b"", False
        if plain or (shaking_hands and layer.established):
            if self._turns.passes(len(plain)):
                self._read(plain)
                if self._turns.behind:
                    self._plan_turn()
            else:
                self._turns.put(plain)
                self._plan_turn()
        self._settle()

    def _plan_turn(self) -> None:
        """Have a turn when there is something to take, or leave this connection alone for a while."""
        now = self._edge.clock.monotonic()
        pause = self._turns.pause(now)
        if pause is not None and self._next_turn is None and not (self._write_full or self._finished):
            self._last = max(self._last, now + pause)  # it is not the client that is silent
            self._next_turn = asyncio.get_running_loop().call_later(pause, self._guarded, self._take_turn)
        self._throttle()

    def _take_turn(self) -> None:
        """Take what came of what is large, or many, as far as one turn goes; the other connections have theirs next."""
        self._next_turn = None
        now = self._edge.clock.monotonic()
        for piece in self._turns.pieces(now):
            self._read(piece)
            if self._finished or self._write_full:
                break
        if not self._finished:
            self._plan_turn()
            self._settle()

    def _settle(self) -> None:
        """Take note of the client's end once all before it was taken."""
        if self._finished:
            return
        if self._layer.ended and self._next_turn is None and not self._turns:
            self._client_ended()
        if not self._said:
            self._flush()  # what TLS itself has to say goes out with the first answer, if there is one

    def _shaken(self) -> None:
        """Begin to count the time of silence."""
        self._last = self._edge.clock.monotonic()
        limits = self._edge.relay.config.limits
        if limits.idle_timeout < limits.handshake_timeout:  # else the timer of the handshake looks at the clock first
            self._arm(limits.idle_timeout)

    def _read(self, plain: bytes) -> None:
        session = self._session
        if session is None:
            self._head += plain
            websocket = self._edge.relay.behaviour.is_websocket(self._head)
            if websocket is None:
                return
            name = self._transport.get_extra_info("peername")
            session = self._session = connect(self._edge.relay, name[0], websocket=websocket, number=self.number)
            plain, self._head = self._head, b""
            if websocket:
                self._arm(self._edge.relay.config.limits.handshake_timeout)
        if self._errand is not None or session.paused is not None:
            self._waiting += len(plain)
            self._throttle()
        now = self._edge.clock.now()
        actions = session.receive_data(plain, now)
        self._turns.took(len(plain), len(actions))
        if session.behind:
            self._turns.behind = True
        if actions:
            # Only what completes a message counts as life: a byte now and then must not hold a connection for ever.
            self._last = now.monotonic
            self._do(actions)

    def released(self, gate: str) -> None:
        """Let go what a fault held back, of what goes out and of what came in."""
        self._outbox.release(gate, self._edge.clock.monotonic())
        self._guarded(self._release)

    def clock_moved(self) -> None:
        """Do what has become due since the clock was moved."""
        self._guarded(self._release)
        if not self._finished and not self._greeting.end:
            self._look_at_clock()

    def _do(self, actions: Sequence[Action]) -> None:
        for nth, action in enumerate(actions):
            if nth == _AT_ONCE or self._write_full or not self._outbox.passes(action):
                self._outbox.put(actions[nth:], self._edge.clock.monotonic())
                self._release()
                return
            self._send(action)
        if self._client_done and not self._outbox:
            self.finish()

    def _release(self) -> None:
        """Perform what is due, and see to it that the rest is performed when it is."""
        clock = self._edge.clock
        for done, action in enumerate(self._outbox.due(clock.monotonic()), 1):
            self._perform(action)
            if self._write_full or done == _AT_ONCE:
                break
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._write_full and self._outbox:
            return
        due = self._outbox.next_due()
        if due is not None and not self._finished:
            left = max(0.0, due - clock.monotonic())
            self._wake = asyncio.get_running_loop().call_later(left, self._guarded, self._release)
        elif self._client_done:
            self.finish()

    def _perform(self, action: Action) -> None:
        if self._finished:
            return
        if isinstance(action, SendAction):
            self._send(action)
        elif isinstance(action, Dial):
            self._errand = asyncio.get_running_loop().create_task(self._dial(action))
        elif isinstance(action, Refresh):
            self._refresh(action)
        elif isinstance(action, WaitAction):
            self._back(lambda session: session.resume(self._edge.clock.now()))
        elif isinstance(action, CloseAction):
            self.finish(action.how)

    def _send(self, what: SendAction) -> None:
        if what.data and not self._shut and not self._finished:
            self._layer.send(what.data)
            self._flush()
            for event in what.then:
                self._edge.relay.tell(event)

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
        self._back(lambda session: session.dialled(reached, self._edge.clock.now()))

    def _refresh(self, wanted: Refresh) -> None:
        keyring, clock = self._edge.relay.keyring, self._edge.clock

        async def refresh(stale: Keyring) -> None:
            await stale.refresh(wanted.token, clock.monotonic())
            self._back(lambda session: session.refreshed(clock.now()))

        if keyring is not None and keyring.stale(wanted.token, clock.monotonic()):
            self._errand = asyncio.get_running_loop().create_task(refresh(keyring))
        else:
            self._back(lambda session: session.refreshed(clock.now()))

    def _back(self, tell: Callable[[RelaySession], Sequence[Action]]) -> None:
        """Go on with what waited for something outside, or for its time."""
        self._errand = None
        self._waiting = 0
        self._throttle()
        if self._session is not None:
            session = self._session
            self._guarded(lambda: self._do(tell(session)))
            if session.behind:
                self._turns.behind = True
                self._plan_turn()

    def _client_ended(self) -> None:
        self._client_done = True
        self._end_session()
        if self._outbox:
            self._outbox.end(self._edge.clock.monotonic())
            self._release()
        else:
            self.finish()

    def _end_session(self, *, reset: bool = False) -> None:
        if self._errand is not None:
            self._errand.cancel()
            self._errand = None
        if self._session is None:
            return
        if late := self._edge.relay.behaviour.notices_after:
            asyncio.get_running_loop().call_later(late, partial(self._session.end, reset=reset))
        else:
            self._session.end(reset=reset)

    def _full(self, full: bool) -> None:
        self._write_full = full
        self._throttle()
        self._edge.relay.behaviour.stuck((peer for peer in self._edge.peers.values() if peer is not self), full)

    def _throttle(self) -> None:
        turn = self._turns or self._next_turn is not None
        if self._write_full or self._held_up or self._waiting > _READ_AHEAD or turn:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _flush(self) -> None:
        self._said = True
        data = self._layer.data_to_send()
        if not data:
            return
        if self._greeting.stall_after is not None:
            data = data[: max(0, self._greeting.stall_after - self._written)]
            self._written += len(data)
        if data and not self._shut:
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
        if self._greeting.hangs:
            return
        if left > 0:
            self._arm(left)
        else:
            self.finish()
