"""The relay's messages on one connection, as the behaviour spells them and as faults change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cbspec.protocol.connection import RequestReceived, RequestRefused
from cbspec.protocol.messages import Answer, Error, to_dict
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_simulator.base.clock import Moment
from cbspec_simulator.base.state import ConnectionState
from cbspec_simulator.faults.kind import FILLER, PADDED, ConnectionEnd, Delivery, Strike, delivered
from cbspec_simulator.faults.websocket import framed
from cbspec_simulator.faults.when import MessageDirection, Occasion
from cbspec_simulator.relay.actions import Action, CloseAction, SendAction
from cbspec_simulator.relay.behaviour import AnswerContext, Body, encoded
from cbspec_simulator.relay.events import Answered, Delivered, EndedBy, Sent
from cbspec_simulator.relay.relay import Relay

_UNSOLICITED = "CB-MSG-004"  # the requirement about messages without a request
_PADDING = (FILLER * PADDED).encode()
_LOST = Error("server_unavailable", "")


class Output:
    """Turns messages into `actions`.

    `request_type` is the type of the current request, `timing` the event that its answer publishes when it is sent; a
    `copy` is a request that a fault repeats. After `closing` nothing more is written. `faulty`: a fault has closed the
    WebSocket. `texts` counts the texts since the first fault.
    """

    __slots__ = (
        "_relay",
        "_state",
        "_websocket",
        "actions",
        "closing",
        "copy",
        "faulty",
        "request_type",
        "texts",
        "timing",
    )

    def __init__(self, relay: Relay, state: ConnectionState) -> None:
        self._relay = relay
        self._state = state
        self._websocket = state.framer if isinstance(state.framer, WebSocketFramer) else None
        self.actions: list[Action] = []
        self.closing = False
        self.copy = False
        self.faulty = False
        self.texts = 0
        self.request_type = ""
        self.timing: tuple[Sent, ...] = ()

    def answer(self, answer: Answer, event: RequestReceived | RequestRefused | None, now: Moment) -> None:
        """Send the answer to the request of `event`; None: an error without a request."""
        if self._websocket is not None and self._websocket.write_closed:
            return
        state = self._state
        state.sent[answer.type] += 1
        if not self._relay.plain or self._relay.faults.active or self.copy or self.texts:
            self._answer_edited(answer, event, now)
            return
        body, text = encoded(answer)
        data = state.protocol.send(answer, text)
        self._relay.tell(Answered(state, body, (text,)))
        self.actions.append(SendAction(data, None, self.timing))
        self.timing = ()

    def drop(self) -> None:
        """Leave the current request unanswered: for the connection, it is refused and the error is lost."""
        self.timing = ()
        if self._websocket is None or not self._websocket.write_closed:
            self._state.protocol.send(_LOST)

    def insert(self, bodies: Iterable[Body]) -> None:
        """Send messages that answer nothing."""
        self._write(bodies, _context(self._state, None, 0), ())

    def close(self, how: ConnectionEnd | None = None, by: EndedBy = EndedBy.RELAY) -> None:
        """End the connection once; `by` is the cause."""
        if self.closing:
            return
        self.closing = True
        if how in (None, ConnectionEnd.CLOSE) and (data := self._close_frame()):
            self.actions.append(SendAction(data))
        self.actions.append(CloseAction(how, EndedBy.FAULT if self.faulty else by))

    def strikes(self, direction: MessageDirection, message: str, now: Moment) -> tuple[Strike, ...]:
        """Return the strikes of faults on a message of this type."""
        state = self._state
        names = state.claimed if message == "auth" else state.acts_for
        answer_to = self.request_type if direction is MessageDirection.ANSWER else ""
        occasion = Occasion(direction, state.number, state.transport, *names, message, answer_to)
        return self._relay.faults.at(occasion, now.monotonic)

    def _answer_edited(self, answer: Answer, event: RequestReceived | RequestRefused | None, now: Moment) -> None:
        """Send an answer as the behaviour and the faults edit it."""
        state, behaviour, faults = self._state, self._relay.behaviour, self._relay.faults
        if not self.copy:
            state.protocol.send(answer)  # the bytes are made below: the texts may be others, or none
        elif isinstance(event, RequestReceived) and isinstance(answer, event.rule.answer):
            state.protocol.state = event.rule.then  # the connection itself knows one answer per request
        context = _context(state, event, state.sent[answer.type])
        timing, self.timing = self.timing, ()
        body = to_dict(answer)
        bodies = behaviour.answers(body, context)
        strikes = self.strikes(MessageDirection.ANSWER, answer.type, now) if faults.active else ()
        for strike in strikes:
            if strike.kind.edit is not None:
                bodies = [edited for each in bodies for edited in strike.kind.edit(each, strike)]
        self._write(bodies, context, strikes, timing)
        if faults.active:
            faults.happened(self.request_type, now.monotonic)
        if behaviour.ends(body, context):
            self.close()

    def _write(
        self, bodies: Iterable[Body], context: AnswerContext, strikes: Sequence[Strike], timing: tuple[Sent, ...] = ()
    ) -> None:
        """Send messages; the first text publishes `timing`."""
        fill = next((strike.kind.fill(strike) for strike in reversed(strikes) if strike.kind.fill), 0)
        at_once = any(strike.kind.text or strike.kind.frame for strike in strikes)
        for body in bodies:
            texts = self._relay.behaviour.spell(body, context)
            more = tuple(fill if fill and _PADDING in text else 0 for text in texts)
            if at_once and any(more):
                texts = [_filled(text, size) for text, size in zip(texts, more, strict=True)]
                more = ()
            for strike in strikes:
                if strike.kind.text is not None:
                    texts = [strike.kind.text(text, strike) for text in texts]
            if self._websocket is not None and self._websocket.write_closed:
                return
            # Once there was a fault, later answers may wait for earlier ones.
            tracked = bool(self.texts or self._relay.faults.active)
            self._relay.tell(Answered(self._state, body, tuple(texts), self.texts + 1 if tracked else 0, more))
            for text, size in zip(texts, more or [0] * len(texts), strict=True):
                self.texts += tracked
                mark = (Delivered(self._state, self.texts),) if tracked else ()
                self.actions.append(self._struck(text, strikes, (*timing, *mark), size))
                timing = ()

    def _struck(
        self, text: bytes, strikes: Sequence[Strike], then: tuple[Sent | Delivered, ...], fill: int
    ) -> SendAction:
        """Return the action that sends a text as the strikes demand, with `fill` bytes more in its padding."""
        delivery = delivered(strikes)
        if fill:
            delivery = delivery or Delivery()
            if delivery.join > 1 or delivery.whole:
                text = _filled(text, fill)
            else:
                delivery.fill = fill
        if delivery is not None and delivery.fill:
            data = self._state.framer.data_to_send() + self._enclosed(text, delivery.fill)
            delivery.place = data.index(_PADDING)
        elif self._websocket is not None and any(strike.kind.frame for strike in strikes):
            before = self._websocket.write_closed
            data = framed(self._websocket, text, strikes)
            self.faulty = self.faulty or self._websocket.write_closed > before
        else:
            data = self._state.framer.encode(text)
        if delivery is not None and delivery.end is ConnectionEnd.CLOSE and delivery.length is None:
            data += self._close_frame()
            # The text may be sent late; the WebSocket ends after it, and not before.
            self.closing = self.closing or self._websocket is not None
        return SendAction(data, delivery, then)

    def _enclosed(self, text: bytes, fill: int) -> bytes:
        """Return a text as a line or in a frame that will have `fill` bytes more (Source: RFC 6455, 5.2)."""
        if self._websocket is None:
            return text + b"\n"
        return b"\x81\x7f" + (len(text) + fill).to_bytes(8, "big") + text

    def _close_frame(self) -> bytes:
        """Return the last bytes of the transport before an orderly close."""
        if self._websocket is not None:
            self._websocket.close()
        return self._state.framer.data_to_send()


def _filled(text: bytes, fill: int) -> bytes:
    return text.replace(_PADDING, _PADDING + FILLER.encode() * fill, 1) if fill else text


def _context(state: ConnectionState, event: RequestReceived | RequestRefused | None, nth: int) -> AnswerContext:
    if isinstance(event, RequestReceived):
        return AnswerContext(state, event.request, event.rule.requirement, nth)
    return AnswerContext(state, None, _UNSOLICITED if event is None else event.requirement, nth)
