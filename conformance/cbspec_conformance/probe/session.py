"""One connection to the relay as cases use it: ask, and learn all that came of it.

`ask` sends one request, waits for its answer, and sends a fence behind it: a request whose answer is known, so that a
second answer or none at all shows without waiting. "Ignored" is believed only after a second fence was answered alone.
Source of the rules: the project's rules for every case.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cbspec.protocol.framing import Frame, FrameTooLarge, StreamFramer
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.judging.errors import RateLimited
from cbspec_conformance.judging.judge import error_code, is_success
from cbspec_conformance.probe.outgoing import check_own, frames, intended, spell
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.probe.wire import Wire
from cbspec_conformance.record.decoding import Decoded, decode
from cbspec_conformance.record.exchange import Exchange, Silence, is_valid_opening, latecomers
from cbspec_conformance.record.frames import TOO_LARGE, StrictWebSocket, given_up, is_broken_off, is_left_open
from cbspec_conformance.record.transcript import Direction, End, Ended, Message, Transcript, Waited

_IN_PIECES = "it went out in pieces"  # what a relay that reads piece by piece may take for several messages

_FLOOD = 200
"""Messages that nobody asked for, after which a connection is given up: a relay may send them for ever."""

_APART = 0.0003
"""Seconds between the pieces of a message, so that most relays read them one by one."""

_RIGHT_BEHIND = 0.001
"""Seconds in which the end of the connection is looked for behind an error, and a second answer behind a fence."""

_fences = itertools.count(1)


class Session:
    """One connection, TLS up and transport open.

    Arguments: `wire` is open; `framer` cuts its bytes; `tempo` says how long to wait; `observe` is given every
    exchange; `alive` says whether a new connection is answered; `pace` is called before each request, and
    `take` with how many messages are about to leave at once; `fence` is the
    request that is sent as a fence after auth ("heartbeat", "unknown" or "" for none).
    """

    def __init__(
        self,
        wire: Wire,
        framer: StreamFramer | WebSocketFramer,
        transcript: Transcript,
        *,
        tempo: Tempo,
        observe: Callable[[Exchange], None],
        alive: Callable[[], bool],
        pace: Callable[[str], None] = lambda tenant: None,
        take: Callable[[int], None] = lambda count: None,
        fence: str = "heartbeat",
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.wire = wire
        self.framer = framer
        self.tempo = tempo
        self.tenant = ""
        self.authenticated = False
        self.tunnels = 0
        self.expects_rate_limit = False
        self._transcript = transcript
        self.observe = observe
        self.alive = alive
        self.pace = pace
        self._take_turn = take
        self.fence = fence
        self._secrets = secrets
        self._inbox: list[Message] = []
        self._most = _FLOOD
        self.deaf = False
        self._garbled = self._cut = False
        self._fenced: float | None = None  # until when the answer to a fence was waited for, if that was the last thing
        self._owed = ""  # the type of an answer to a fence that was given up
        self._belongs: Callable[[Message], bool] = lambda message: False

    @property
    def timeout(self) -> float:
        """The seconds that the relay has for one answer, by the profile."""
        return self.tempo.most

    @property
    def ended(self) -> Ended | None:
        """How the connection ended, if it did."""
        return self.wire.ended

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        invalid: str = "",
        fence: bool = True,
        encode: Callable[[object], bytes] | None = None,
        followed: bool = False,
    ) -> Exchange:
        """Send one request and return all that came of it.

        `invalid` says in words what is wrong with it on purpose: without it, a request that is not valid is a mistake
        of the kit. `encode` spells it in another legal way. `fence=False` leaves out the fence behind an answer.
        `followed` says that an error will be followed at once by another request, which finds what came behind it.
        """
        text = (encode or spell)(dict(request))
        decoded = Decoded(check_own(request, text, invalid))
        message = self.take_note(text, decoded, invalid)
        return self.exchange(message, self.encode(text), fence=fence, followed=followed)

    def ask_text(self, text: bytes, *, meant: str, like: str = "", fence: bool = True) -> Exchange:
        """Send a text that is no valid message, and return all that came of it.

        `meant` says in words what it is; `like` is the type of request that it resembles, if any.
        """
        message = self.take_note(text, intended(text, like), meant)
        return self.exchange(message, self.encode(text), fence=fence)

    def ask_in_pieces(
        self,
        request: Mapping[str, Any],
        cut: Callable[[bytes], list[bytes]],
        *,
        encode: Callable[[object], bytes] | None = None,
        fragments: bool = False,
    ) -> Exchange:
        """Send a valid request cut into pieces, each in a TLS record of its own, and return all that came of it.

        With `fragments` each piece is a frame of a WebSocket's message. What comes before the last piece belongs to the
        request, too: a relay may take each piece for a message.
        """
        text = (encode or spell)(dict(request))
        check_own(request, text, "")
        data = frames(cut(text)) if fragments else cut(self.encode(text))
        return self.exchange(self._note(text, "in pieces", _IN_PIECES), *data)

    def exchange(self, request: Message, *data: bytes, fence: bool = True, followed: bool = False) -> Exchange:
        """Put `data` on the wire, which carries `request`, piece by piece, and return all that came of it."""
        self.unasked()
        self.pace(self.tenant)
        self._take_turn(1)
        began = time.monotonic()
        for piece in data:
            self.wire.send(piece)
            if len(data) > 1:
                time.sleep(_APART)
        left_open = bool(request.decoded.fault) and is_left_open(self.framer, request.text)
        self._await_messages(1, self.tempo.briefly if left_open else self.tempo.patience)
        if self._settled():
            self._await_messages(1, self.tempo.patience)
        waited = time.monotonic() - began
        silence = Silence.NONE
        if not self._inbox and not self.ended:
            silence = self._listen_for_late(request)
            waited = time.monotonic() - began
        elif fence and self._wants_fence(request):
            self._fence_off(request)
        if self._fenced is None and not followed and any(message.type == "error" for message in self._inbox):
            self._pump(_RIGHT_BEHIND)  # the end of the connection may come so; a fence would have met it
        return self._conclude(request, silence, waited)

    def send_unanswered(self, data: bytes, *, messages: int = 1, cut: bool = False) -> None:
        """Put plain bytes on the wire, which hold so many messages, and wait for nothing.

        Where a frame is `cut` by their end, no pong goes out before the next bytes: it would lie inside the frame.
        """
        self._take_turn(messages)
        self.wire.send(data)
        self._cut = cut
        if not cut:
            self.wire.send_quietly(self.framer.data_to_send())

    def note(
        self, request: Mapping[str, Any], *, meant: str = "", encode: Callable[[object], bytes] | None = None
    ) -> tuple[Message, bytes]:
        """Record `request` as sent and return it with its bytes on the wire, for who cuts or merges them.

        `encode` spells it in another legal way.
        """
        text = (encode or spell)(dict(request))
        return self._note(text, meant), self.encode(text)

    def encode(self, text: bytes) -> bytes:
        """Return a text's bytes on the wire; none on a WebSocket that has been closed."""
        if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
            return b""
        return self.framer.encode(text)

    def take_note(self, text: bytes, decoded: Decoded, meant: str) -> Message:
        """Record a text as sent, whatever it is, and return it."""
        message = Message(self._transcript.now(), self.wire.number, Direction.SENT, text, decoded, meant=meant)
        self._transcript.add(message)
        self._most += 1  # the answers to many requests may come at once, however few of them a case waits for
        return message

    def together(self, requests: Sequence[Message], data: bytes) -> Exchange:
        """Put `data` on the wire, which carries all the requests, and return all their answers as one exchange."""
        for _ in requests:
            self.pace(self.tenant)
        self.send_unanswered(data, messages=len(requests))
        return self.gathered(requests[0], self.answers(len(requests)))

    def gathered(self, request: Message, answers: tuple[Message, ...]) -> Exchange:
        """Return as one exchange what several requests drew, of which `request` was the first."""
        exchange = Exchange(request, answers, ended=self.ended, tenant=self.tenant, waited=self.timeout)
        if error_code(exchange) == "rate_limit_exceeded":
            raise RateLimited("the relay answered rate_limit_exceeded")
        return exchange

    def record(self, request: Mapping[str, Any], *, meant: str) -> Message:
        """Record `request` as sent, for who puts it on the wire in another way, in pieces."""
        return self._note(spell(dict(request)), meant, _IN_PIECES)

    def announce(self, meant: str) -> None:
        """Record what the bytes are that come next and are no message."""
        self.take_note(b"", Decoded(None, fault="no message"), meant)

    def unasked(self, wait: float = 0.0) -> None:
        """Judge what comes within `wait` seconds while no request is under way: unasked, or as a second answer.

        A refusal behind which the connection ended stays: it is all that the request will draw.
        """
        # A fence's second answer mustn't be laid to the next request.
        self._pump(wait if self._fenced is None else max(wait, self._fenced + _RIGHT_BEHIND - time.monotonic()))
        self._fenced = None
        self._settled()
        self._inbox = [message for message in self._inbox if not self._belongs(message)]
        refusal = [message for message in self._inbox if self.ended and message.type == "error"]
        self._inbox = [message for message in self._inbox if message not in refusal]
        if self._inbox:
            self._conclude(None, Silence.NONE, 0.0)
        self._inbox = refusal[-1:]

    def answers(self, count: int, wait: float | None = None) -> tuple[Message, ...]:
        """Return the next `count` messages, or as many as come, each within `wait` seconds (None: the time-out)."""
        wait = self.timeout if wait is None else wait
        had = -1
        while had < len(self._inbox) < count and not self.ended:
            had = len(self._inbox)
            self._await_messages(had + 1, wait, "an answer")
        return self._take()

    def hello(self, **changes: object) -> Exchange:
        """Say hello, with all five features."""
        return self.ask({**HELLO, **changes})

    def heartbeat(self) -> Exchange:
        """Ask for a heartbeat_response."""
        return self.ask({"type": "heartbeat"})

    def close(self) -> None:
        """Close, and give the relay a while to notice."""
        if not self.ended:
            if isinstance(self.framer, WebSocketFramer):
                self.framer.close()
                self.wire.send(self.framer.data_to_send())
            self.tempo.closed(self.wire.close(self.tempo.closing))
        self.wire.close()
        self.framer.forget()

    # ------------------------------------------------------------------ what follows is the mechanics

    def _note(self, text: bytes, meant: str, fault: str = "") -> Message:
        return self.take_note(text, Decoded(json.loads(text), fault=fault), meant)

    def _conclude(self, request: Message | None, silence: Silence, waited: float) -> Exchange:
        answers = self._take()
        self.deaf = self.deaf or silence is Silence.DEAF
        if answers:
            self.tempo.came(waited)
        alive = silence is not Silence.DEAF or self.alive()
        exchange = Exchange(request, answers, silence, self.ended, self.tenant, self._secrets, waited, alive)
        self.observe(exchange)
        self._belongs = latecomers(exchange)
        if request is not None and request.type == "tunnel_info":
            self.tunnels += any(is_success(answer) for answer in answers)
        if self._is_limited(exchange):
            raise RateLimited("the relay answered rate_limit_exceeded")
        return exchange

    def _is_limited(self, exchange: Exchange) -> bool:
        """Whether a rate limit struck that nobody expected.

        What is no message may be refused with any code: where a heartbeat behind it is served, the code was for that.
        """
        limited = any(answer.member("code") == "rate_limit_exceeded" for answer in exchange.answers)
        if not limited or self.expects_rate_limit:
            return False
        malformed = exchange.request is not None and bool(exchange.request.decoded.fault)
        beats = malformed and self.authenticated and self.fence == "heartbeat" and not self.ended
        return not beats or not any(is_success(answer) for answer in self.heartbeat().answers)

    def _take(self) -> tuple[Message, ...]:
        taken, self._inbox = tuple(self._inbox), []
        return taken

    def _fence_request(self) -> tuple[dict[str, str], str] | None:
        if self.authenticated and self.fence == "heartbeat":
            return {"type": "heartbeat"}, "heartbeat_response"
        if self.fence:
            return {"type": f"cbspec_fence_{next(_fences)}"}, "error"
        return None

    def _wants_fence(self, request: Message) -> bool:
        if not self.authenticated or request.type == "heartbeat" or self.ended:
            return False
        return self.tempo.wants_fence(self._kind(request))

    def _kind(self, request: Message) -> str:
        """Return what was asked and what is answered, an error by its code."""
        answer = self._inbox[0]
        return f"{request.type} {answer.type} {answer.member('code')}"

    def _fence_off(self, request: Message) -> None:
        """Leave in the inbox what belongs to `request`: all that came before the fence's own answer."""
        fence = self._fence_request()
        if fence is None or self.deaf:
            return
        kept = len(self._inbox)
        sent = self._send_fence(fence[0])
        waited = self._wait_out(lambda: any(each.type == fence[1] for each in self._inbox[kept:]), "the fence's answer")
        if self.ended:
            self.tempo.closed_behind(self._kind(request))
        if not self._remove_last(fence[1], kept) and not self.ended:
            self.deaf = True
            self._owed = fence[1]
            unanswered = len(self._inbox) == kept
            if unanswered and sent.type == "heartbeat" and not request.decoded.fault:
                self.observe(Exchange(sent, silence=Silence.DEAF, waited=waited, relay_alive=self.alive()))

    def _listen_for_late(self, request: Message) -> Silence:
        """Nothing came in time: learn by two fences whether the request was ignored, is held back or is only late."""
        if self.deaf:
            return Silence.DEAF
        fence, asked = self._fence_request(), _answer_to(request.type)
        if fence is None or self.tempo.suspects or is_valid_opening(request):
            # Behind a hello or auth that is only slow, a fence that draws an error could cost the connection.
            self._await_messages(1, self.tempo.alone if self.tempo.suspects else self.tempo.timeout(asked), asked)
            if self._inbox or self.ended:
                self.tempo.came_alone()
                return Silence.NONE
            self.tempo.waited_for_nothing(asked)
            if fence is None:
                return Silence.DEAF
            # Who was silent for so long answers a fence at once, or never.
            self.tempo.waited_for_nothing(_behind(request.type))
        return self._ignored(fence, request)

    def _ignored(self, fence: tuple[dict[str, str], str], request: Message) -> Silence:
        """Send two fences, and say what is known of the request before them."""
        answered, slowest, pushed = 0, 0.0, False
        self._pump(0.0)  # it may have been the suite itself that came too late
        if self._inbox or self.ended:
            return Silence.NONE
        for number in (1, 2):
            self._send_fence(fence[0])
            waited = self._wait_out(partial(self._has, number), _behind(request.type))
            slowest = max(slowest, waited)
            if self.ended:
                break
            if len(self._inbox) < number:
                return Silence.DEAF if not self._inbox else Silence.NONE
            answered = number
            self._pump(_RIGHT_BEHIND)
            pushed = pushed or (number == 1 and len(self._inbox) > 1 and waited < self.tempo.at_once)
        else:
            # Of a slow relay these may be the request's own answer and one fence's: the other's takes as long again.
            self._await_messages(3, max(self.tempo.patience, 2 * slowest), _answer_to(request.type))
        # The request's own answer comes first: where the connection ended behind it, no fence was answered.
        for _ in range(min(answered, len(self._inbox) - 1) if self.ended else answered):
            self._remove_last(fence[1], 0)
        # What is no whole message may have been ended by the fence.
        if pushed and len(self._inbox) == 1 and not request.meant and not self.ended and self.tempo.pushed_out():
            self._inbox.clear()
            return Silence.HELD_BACK
        return Silence.NONE if self._inbox or self.ended else Silence.IGNORED

    def _send_fence(self, fence: Mapping[str, str]) -> Message:
        self.pace(self.tenant)
        self._take_turn(1)
        text = spell(dict(fence))
        message = self._note(text, "fence")
        self.wire.send(self.encode(text))
        return message

    def _settled(self) -> bool:
        """Take out the answer to a fence that was given up, where it has come: it was blamed for being late."""
        there = bool(self._owed and self._inbox and self._inbox[0].type == self._owed)
        if there:
            del self._inbox[0]
            self._owed = ""
        return there

    def _remove_last(self, kind: str, start: int) -> bool:
        for index in range(len(self._inbox) - 1, start - 1, -1):
            if self._inbox[index].type == kind:
                del self._inbox[index]
                return True
        return False

    def _has(self, count: int) -> bool:
        return len(self._inbox) >= count

    def _await_messages(self, count: int, wait: float, what: str = "") -> None:
        self._await(partial(self._has, count), wait, what)

    def _wait_out(self, enough: Callable[[], bool], what: str) -> float:
        """Wait for a fence's answer as long as `what` may take; return how long, and remember if it was for nothing."""
        began = time.monotonic()
        if not self._await(enough, self.tempo.timeout(what), what) and not self.ended:
            self.tempo.waited_for_nothing(what)
        self._fenced = time.monotonic()
        return self._fenced - began

    def _await(self, enough: Callable[[], bool], wait: float, what: str = "") -> bool:
        """Wait until there is enough; a wait for `what` that ran out is recorded."""
        deadline = time.monotonic() + wait
        while not enough() and not self.ended:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self._pump(remaining)
        if enough():
            return True
        if what and wait > 0 and not self.ended:
            self._transcript.add(Waited(self._transcript.now(), self.wire.number, wait, what))
        self._unfinished()
        return enough()

    def _pump(self, wait: float) -> None:
        data = self.wire.receive(wait)
        if data:
            self.framer.feed(data)
            if not self._cut:
                self.wire.send_quietly(self.framer.data_to_send())
        try:
            while frame := self.framer.next_frame():
                self._received(frame)
        except FrameTooLarge as error:
            self.framer.forget()
            self._add(error.begun, TOO_LARGE)
            self.wire.close()
        if isinstance(self.framer, WebSocketFramer) and self.framer.ended:
            self._websocket_ended(self.framer)

    def _websocket_ended(self, framer: WebSocketFramer) -> None:
        if framer.failure is not None and not self.ended:
            framer.forget()
            self._add(b"", given_up(framer.failure))
        self.wire.finish(End.WEBSOCKET_CLOSE)

    def _received(self, frame: Frame) -> None:
        decoded = decode(frame.text)
        if self._garbled and (decoded.requirement or frame.broken):
            return  # what follows compressed bytes in a stream is more of them
        self._garbled = decoded.requirement == "CB-CMP-001"
        if frame.broken and not decoded.requirement:
            decoded = Decoded(decoded.value, "CB-MSG-002", frame.broken)
        long_way = isinstance(self.framer, StrictWebSocket) and self.framer.take_fault()
        if long_way and decoded.requirement:
            decoded = Decoded(None, "CB-WSK-002", "a frame whose length is not what follows")
        self._add(frame.text, decoded, binary=frame.binary, padded=bool(long_way))

    def _unfinished(self) -> None:
        """Bytes that never become a message are one that is broken: judged as such, once."""
        rest = self.framer.pending if isinstance(self.framer, StreamFramer) else b""
        if rest and is_broken_off(rest, self.ended):
            self.framer.forget()
            self._received(Frame(rest, "it was cut off"))

    def _add(self, text: bytes, decoded: Decoded, *, binary: bool = False, padded: bool = False) -> None:
        now = self._transcript.now()
        message = Message(now, self.wire.number, Direction.RECEIVED, text, decoded, binary, padded=padded)
        self._transcript.add(message)
        self._inbox.append(message)
        if len(self._inbox) > self._most:
            self.wire.finish(End.OURS, "it sends too much that nobody asked for")


HELLO: Mapping[str, Any] = {
    "type": "hello",
    "version": "1.0",
    "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"],
}
"""A hello as the page shows it. Source: Message Types / 1. Hello."""


def _answer_to(asked: str) -> str:
    return f"the answer to {asked or 'it'}"


def _behind(asked: str) -> str:
    return f"an answer to {asked or 'it'} or a fence behind it"
