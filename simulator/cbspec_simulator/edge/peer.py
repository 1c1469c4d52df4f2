"""The asyncio edge of one connection: it connects socket, TLS, session and time-outs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from cbspec.protocol.tls import TlsFailed, TlsLayer
from cbspec.protocol.tls_alerts import ALERTS
from cbspec_simulator.base.clock import Clock
from cbspec_simulator.edge.channel import TlsChannel
from cbspec_simulator.edge.contexts import Contexts
from cbspec_simulator.edge.io_requests import io_work
from cbspec_simulator.edge.lifecycle import Lifecycle
from cbspec_simulator.edge.outbox import Outbox
from cbspec_simulator.edge.read_throttle import Crowd, ReadThrottle
from cbspec_simulator.edge.timer import Timer
from cbspec_simulator.faults.kind import ConnectionEnd, Greeting
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction, WaitAction
from cbspec_simulator.relay.events import Delivered, EndedBy, EndedHow
from cbspec_simulator.relay.relay import Relay, plain_address
from cbspec_simulator.relay.session import RelaySession, connect

log = logging.getLogger("simulator")

LINGER = 2.0
"""Seconds for which the input of a closed connection is still read: closing a socket with unread input resets it, and
the client may lose the last answers."""

_CONFORMING: Final = Greeting()
_BEFORE_RESET: Final = 0.05  # seconds: a reset discards bytes that haven't left yet
_READ_AHEAD: Final = 64 * 1024  # bytes that may wait while the session is paused or waits for I/O
_LARGE_READ: Final = 16 * 1024  # bytes of input after the end; larger reads are followed by a pause of
_READ_GAP: Final = 0.0005  # seconds
_LATE: Final = 256 * 1024  # bytes of TLS after the relay's end that are decrypted and recorded


@dataclass(eq=False, slots=True)
class Edge:
    """The state that the connections of one server share; `peers` are the open connections by number."""

    relay: Relay
    contexts: Contexts
    clock: Clock
    peers: dict[int, Peer] = field(default_factory=dict)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    crowd: Crowd = field(default_factory=Crowd)


class Peer(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_channel",
        "_edge",
        "_finished",
        "_greeting",
        "_head",
        "_held_up",
        "_io",
        "_last",
        "_late",
        "_life",
        "_next_action",
        "_outbox",
        "_read_ahead",
        "_session",
        "_throttle",
        "_timer",
        "_turn",
        "number",
    )

    def __init__(self, edge: Edge, address: str) -> None:
        relay = edge.relay
        self._edge = edge
        self.number = relay.accept()
        self._life = Lifecycle(relay.tell, self.number, str(plain_address(address)))
        self._greeting = self._meet()
        try:
            self._channel = TlsChannel(relay.behaviour.layer(self._context()), self._greeting.stall_after)
        except Exception:
            self._life.ended(EndedBy.RELAY, EndedHow.FIN)
            self._life.closed()
            raise
        self._outbox = Outbox(relay.behaviour.writing, self._perform)
        self._next_action = Timer()
        self._io: asyncio.Task[None] | None = None
        self._session: RelaySession | None = None
        self._head = b""  # the first bytes, until they tell the transport
        self._throttle = ReadThrottle(edge.crowd)
        self._turn = Timer()
        self._read_ahead = 0
        self._held_up = False
        self._timer = Timer()  # time-outs of handshake and idleness, then the end of the connection
        self._last = edge.clock.monotonic()
        self._late = 0  # bytes of input after the relay's end
        self._finished = False

    def _context(self) -> ssl.SSLContext:
        contexts, wanted = self._edge.contexts, self._greeting.tls
        return contexts(wanted, self._greeting.lifetime) if wanted else contexts.own

    def _meet(self) -> Greeting:
        """Return how faults treat the new connection."""
        faults = self._edge.relay.faults
        if not faults.active:
            return _CONFORMING
        greeting, now = Greeting(), self._edge.clock.monotonic()
        faults.happened("first connection", now)
        for strike in faults.at(Occasion(MessageDirection.CONNECT, self.number), now):
            if strike.kind.connect is not None:
                strike.kind.connect(greeting, strike)
        return greeting

    @property
    def in_handshake(self) -> bool:
        """Whether the handshake of TLS, or of the WebSocket, is incomplete."""
        opened = self._session is None or self._session.opened
        return not self._finished and not (self._channel.layer.established and opened)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake."""
        self._channel.transport = cast(asyncio.Transport, transport)
        self._edge.peers[self.number] = self
        self._edge.empty.clear()
        self._timer.start(self._edge.relay.config.limits.handshake_timeout, self._check_time)
        if self._greeting.end is not None:
            self.finish(self._greeting.end, EndedBy.FAULT)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the socket."""
        if self._finished or self._channel.client_ended:
            self._received_late(data)
            if len(data) > _LARGE_READ:
                transport = self._channel.transport
                transport.pause_reading()
                asyncio.get_running_loop().call_later(_READ_GAP, transport.resume_reading)
            return
        self._guarded(self._received, data)

    def eof_received(self) -> bool:
        """Handle the end of input; pending answers are still sent."""
        if not self._finished:
            if plain := self._channel.layer.receive_eof():
                self._guarded(self._read, plain)
            self._guarded(self._client_ended)
        return not self._finished

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        if exc is not None:
            self._ended(EndedBy.CLIENT, EndedHow.RESET)
        else:
            self._ended(EndedBy.RELAY, EndedHow.FIN)
        self._finished = True
        if self._outbox.blocked:
            self._block(False)
        self._end_session(reset=exc is not None)
        self._timer.cancel()
        self._turn.cancel()
        self._clear_outbox()
        self._edge.relay.faults.forget(self.number)
        self._edge.peers.pop(self.number, None)
        if not self._edge.peers:
            self._edge.empty.set()
        self._life.closed(getattr(self._channel.transport, "dropped", 0))
        del self._outbox  # it refers to this object; without a cycle, the memory is free at once

    def pause_writing(self) -> None:
        """Pause everything while the client reads nothing."""
        self._block(True)

    def resume_writing(self) -> None:
        """Continue to send and to read."""
        self._block(False)
        self._guarded(self._run_outbox)
        self._guarded(self._plan_turn)

    def hold_reading(self, held: bool) -> None:
        """Pause or resume reading."""
        self._held_up = held
        self._pause_or_resume()

    def released(self, gate: str) -> None:
        """Release actions and requests that a fault holds back."""
        self._outbox.release(gate, self._edge.clock.monotonic())
        self._guarded(self._run_outbox)

    def clock_moved(self) -> None:
        """Do everything that became due when the clock was moved."""
        self._guarded(self._run_outbox)
        if not self._finished and not self._greeting.end:
            self._check_time()

    def abort(self) -> None:
        """Close the connection at once."""
        self._channel.transport.abort()

    def finish(
        self, how: ConnectionEnd | None = None, by: EndedBy = EndedBy.RELAY, shown: EndedHow | None = None
    ) -> None:
        """Send the last messages and close the connection, in the relay's usual way (None) or in another one.

        `by` is the cause, and `shown` the way in the event (None: as `how` says).
        """
        channel, writing = self._channel, self._edge.relay.behaviour.writing
        if self._finished or (how is ConnectionEnd.HALF and channel.write_closed):
            return
        self._ended(by, shown or self._way(how))
        if how is ConnectionEnd.HALF:
            channel.end_writing(notify=True)
            channel.write_closed = True
            return
        if self._session is not None and how is None:
            with contextlib.suppress(ssl.SSLError):  # the reason for the end may be a failure of TLS
                for action in self._session.close():
                    self._perform(action)
        self._finished = True
        self._end_session()
        self._session = None  # it may hold half of a large message
        self._clear_outbox()
        self._throttle.clear()
        self._turn.cancel()
        self._read_ahead = 0
        self._pause_or_resume()  # unread input would reset the connection
        if how is ConnectionEnd.RESET or (how is None and writing.reset and not channel.client_ended):
            channel.flush()  # an alert, if TLS has failed
            self._timer.start(_BEFORE_RESET, channel.reset)
            return
        channel.end_writing(notify=how is ConnectionEnd.CLOSE or (how is None and writing.close_notify))
        if not channel.client_ended or channel.transport.get_write_buffer_size():
            self._timer.start(LINGER, self.abort)

    def _ended(self, by: EndedBy, how: EndedHow, alert: str = "") -> None:
        """Record the first cause of the end, with the bytes of an unfinished message."""
        if self._life.over:
            return
        if (session := self._session) is None:
            self._life.ended(by, how, alert, None, self._head)
        else:
            self._life.ended(by, how, alert, session.state, session.state.framer.pending + self._throttle.waiting)

    def _way(self, how: ConnectionEnd | None) -> EndedHow:
        """Return the way in which the relay ends the connection."""
        channel, writing = self._channel, self._edge.relay.behaviour.writing
        if how is ConnectionEnd.RESET or (how is None and writing.reset and not channel.client_ended):
            return EndedHow.RESET
        notify = writing.close_notify if how is None else how is not ConnectionEnd.WITHOUT_NOTIFY
        return EndedHow.CLOSE_NOTIFY if notify and channel.layer.established else EndedHow.FIN

    def _refuse_handshake(self, alert: int) -> None:
        """Answer the ClientHello by an alert."""
        self._channel.transport.write(bytes((21, 3, 3, 0, 2, 2, alert)))  # a record without encryption
        self._life.refused("a fault refuses the handshake", ALERTS[alert])
        self._ended(EndedBy.FAULT, EndedHow.ALERT, ALERTS[alert])
        self.finish(ConnectionEnd.WITHOUT_NOTIFY, EndedBy.FAULT)

    def _received(self, data: bytes) -> None:
        channel, greeting, life = self._channel, self._greeting, self._life
        handshake = not channel.layer.established
        if handshake:
            life.handshake(data)
            if greeting.alert is not None:
                self._refuse_handshake(greeting.alert)
                return
        plain = channel.receive(data)
        handshake = handshake and channel.layer.established
        if handshake:
            life.secured(channel.layer)
            limits = self._edge.relay.config.limits
            self._last = self._edge.clock.monotonic()
            if limits.idle_timeout < limits.handshake_timeout:  # otherwise the handshake's timer is in time
                self._timer.start(limits.idle_timeout, self._check_time)
        if plain:
            (life.unread if greeting.unresponsive else life.received)(plain)
        if (plain or handshake) and not greeting.unresponsive:
            if self._throttle.passes(len(plain)) or not self._edge.relay.behaviour.reads_in_turns:
                self._read(plain)
                if self._throttle.backlog:
                    self._plan_turn()
            else:
                self._throttle.put(plain)
                self._plan_turn()
        self._settle()

    def _received_late(self, data: bytes) -> None:
        """Record input after the relay's end, up to a limit; deviations of TLS must not notice it."""
        layer = self._channel.layer
        if self._late < _LATE and type(layer) is TlsLayer and layer.established:
            self._late += len(data)
            with contextlib.suppress(TlsFailed):
                if plain := layer.receive_data(data):
                    self._life.unread(plain)

    def _plan_turn(self) -> None:
        """Schedule the next turn of large input, if any waits, and pause reading until then."""
        now = self._edge.clock.monotonic()
        pause = self._throttle.pause(now)
        if pause is not None and not (self._turn.running or self._outbox.blocked or self._finished):
            self._last = max(self._last, now + pause)  # the client isn't idle
            self._turn.start(pause, self._guarded, self._take_turn)
        self._pause_or_resume()

    def _take_turn(self) -> None:
        """Read large input for one turn."""
        for piece in self._throttle.pieces(self._edge.clock.monotonic()):
            self._read(piece)
            if self._finished or self._outbox.blocked:
                break
        if not self._finished:
            self._plan_turn()
            self._settle()

    def _settle(self) -> None:
        """Handle the client's end once all input before it was read; send TLS's own messages."""
        if self._finished:
            return
        if self._channel.layer.ended and not self._turn.running and not self._throttle:
            self._client_ended()
        if not self._channel.flushed:
            self._channel.flush()

    def _read(self, plain: bytes) -> None:
        """Pass plain text to the session."""
        session = self._session
        if session is None:
            self._head += plain
            session = self._open_session()
            if session is None:
                return
            plain, self._head = self._head, b""
        if self._io is not None or session.paused is not None:
            self._read_ahead += len(plain)
            self._pause_or_resume()
        now = self._edge.clock.now()
        actions = session.receive_data(plain, now)
        self._throttle.took(len(plain), len(actions))
        if session.backlog:
            self._throttle.backlog = True
        if actions:
            self._last = now.monotonic  # only complete messages: single bytes must not keep a connection open for ever
            self._outbox.add(actions, now.monotonic)
            self._mark_late(actions)
            self._plan_outbox()

    def _mark_late(self, actions: Sequence[Action]) -> None:
        """Mark the answers that haven't left yet."""
        if self._outbox.waits:
            for action in actions:
                for event in action.then if isinstance(action, SendAction) else ():
                    if isinstance(event, Delivered):
                        event.late = True

    def _open_session(self) -> RelaySession | None:
        """Open the session once the first bytes tell the transport."""
        relay = self._edge.relay
        websocket = relay.behaviour.is_websocket(self._head)
        if websocket is None:
            return None
        address = self._channel.transport.get_extra_info("peername")[0]
        self._session = connect(relay, address, websocket=websocket, number=self.number)
        if websocket:
            self._timer.start(relay.config.limits.handshake_timeout, self._check_time)
        return self._session

    def _client_ended(self) -> None:
        self._ended(EndedBy.CLIENT, EndedHow.CLOSE_NOTIFY if self._channel.layer.ended else EndedHow.FIN)
        self._channel.client_ended = True
        self._end_session()
        self._outbox.end(self._edge.clock.monotonic())
        self._run_outbox()

    def _end_session(self, *, reset: bool = False) -> None:
        if self._io is not None:
            self._io.cancel()
            self._io = None
        if self._session is None:
            return
        if late := self._edge.relay.behaviour.notices_after:
            asyncio.get_running_loop().call_later(late, partial(self._session.end, reset=reset))
        else:
            self._session.end(reset=reset)

    def _run_outbox(self) -> None:
        self._outbox.run(self._edge.clock.monotonic())
        self._plan_outbox()

    def _plan_outbox(self) -> None:
        """Schedule the next action; close after the last one if the client has ended its half."""
        if self._outbox and not self._outbox.blocked:
            due = self._outbox.next_due() or 0.0
            self._next_action.start(max(0.0, due - self._edge.clock.monotonic()), self._guarded, self._run_outbox)
        elif self._channel.client_ended and not self._outbox:
            self.finish()

    def _clear_outbox(self) -> None:
        self._outbox.clear()
        self._next_action.cancel()

    def _perform(self, action: Action) -> None:
        if self._finished:
            return
        if isinstance(action, SendAction):
            if action.data and not self._channel.write_closed:
                if self._channel.send(action.data):
                    self._life.sent(action.data)
                for event in action.then:
                    self._edge.relay.tell(event)
        elif isinstance(action, CloseAction):
            self.finish(action.how, action.by, EndedHow.CLOSE_FRAME if action.by is EndedBy.CLIENT else None)
        elif isinstance(action, WaitAction):
            self._continue(lambda session: session.resume(self._edge.clock.now()))
        elif (work := io_work(action, self._edge.relay, self._edge.clock)) is not None:
            self._io = asyncio.get_running_loop().create_task(self._await_io(work))
        else:
            self._io_done(True)

    async def _await_io(self, work: Coroutine[None, None, bool | None]) -> None:
        success = await work
        self._io = None
        self._io_done(success is not False)

    def _io_done(self, success: bool) -> None:
        self._continue(lambda session: session.io_done(success, self._edge.clock.now()))

    def _continue(self, step: Callable[[RelaySession], Sequence[Action]]) -> None:
        """Continue a session that was paused or waited for I/O."""
        self._read_ahead = 0
        self._pause_or_resume()
        if (session := self._session) is not None:
            self._guarded(self._add, step, session)
            if session.backlog:
                self._throttle.backlog = True
                self._plan_turn()

    def _add(self, step: Callable[[RelaySession], Sequence[Action]], session: RelaySession) -> None:
        actions = step(session)
        self._outbox.add(actions, self._edge.clock.monotonic())
        self._mark_late(actions)
        self._plan_outbox()

    def _block(self, blocked: bool) -> None:
        """React to a full or empty write buffer."""
        self._outbox.blocked = blocked
        if blocked:
            self._next_action.cancel()
        self._pause_or_resume()
        self._edge.relay.behaviour.stuck((peer for peer in self._edge.peers.values() if peer is not self), blocked)

    def _pause_or_resume(self) -> None:
        """Read the socket unless there is a reason to pause."""
        turn = self._throttle or self._turn.running
        if self._outbox.blocked or self._held_up or self._read_ahead > _READ_AHEAD or turn:
            self._channel.transport.pause_reading()
        else:
            self._channel.transport.resume_reading()

    def _check_time(self) -> None:
        """Close the connection after the time-out; input in between doesn't restart the timer."""
        if self._greeting.hangs:
            return
        limits = self._edge.relay.config.limits
        opened = self._channel.layer.established and (self._session is None or self._session.opened)
        allowed = limits.idle_timeout if opened else limits.handshake_timeout
        left = self._last + allowed - self._edge.clock.monotonic()
        if left > 0:
            self._timer.start(left, self._check_time)
        else:
            self.finish(shown=EndedHow.TIMEOUT)

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        """Call a function; its failure ends this connection only."""
        try:
            work(*args)
        except TlsFailed as error:
            log.debug("TLS: %s", error)
            self._ended(*self._life.failed(error, self._channel.flush(), self._channel.layer))
            self.finish()
        except Exception:
            log.exception("a connection failed and is closed")
            self.finish()
            self._edge.relay.behaviour.crashed(tuple(self._edge.peers.values()))
