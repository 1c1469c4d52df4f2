"""One connection to the relay as cases use it: send a request, and learn everything that it draws.

`ask` sends a request, awaits its answer, and then sends a fence, so that a second answer or a missing one shows without
waiting. A request counts as ignored only after a second fence was answered as well. Source: the project's rules for
every case.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from cbspec.protocol.framing import StreamFramer
from cbspec.protocol.state import SUCCESS_TYPES
from cbspec.protocol.websocket import WebSocketFramer
from cbspec_conformance.judging.errors import RateLimited
from cbspec_conformance.judging.judge import SUCCESSES, error_codes, is_success
from cbspec_conformance.probe.awaited import ANY_REFUSAL, after_two_fences, answer_to, awaited, or_fence
from cbspec_conformance.probe.channel import Channel
from cbspec_conformance.probe.pace import Pacer
from cbspec_conformance.probe.tempo import Tempo
from cbspec_conformance.probe.texts import check_own, frames, intended, spell
from cbspec_conformance.probe.wire import Wire
from cbspec_conformance.record.conclusions import Silence
from cbspec_conformance.record.decoding import Decoded
from cbspec_conformance.record.exchange import UNASKED, Exchange, latecomers, matches
from cbspec_conformance.record.frames import is_left_open
from cbspec_conformance.record.transcript import Ended, Message

_IN_PIECES = "it was sent in pieces"  # a relay that reads piece by piece may take it for several messages
_APART: Final = 0.0003  # seconds between the pieces of a message: an idle relay reads them one by one then,
_FAR_APART, _SPREAD = 0.02, 0.2  # one that is busy with other cases as well, if a message takes no longer than this
_SHORTLY = 0.001  # seconds in which a close may follow an error, and a second answer a fence's

_numbers = itertools.count(1)


class Fence(NamedTuple):
    """A request that is sent after another one, to tell "ignored" from "late", and the type of its answer."""

    request: dict[str, str]
    answer: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts that the sessions of a case share.

    `tempo` are the time-outs; `pacer` keeps below declared rates; `observe` checks an exchange and numbers it; `alive`
    says whether a new connection is answered; `secrets` may appear in no error text, except the client's own tenant.
    `limited_always` says whether a request always draws rate_limit_exceeded; `patient` whether a close is awaited.
    """

    tempo: Tempo
    pacer: Pacer
    observe: Callable[[Exchange], Exchange]
    alive: Callable[[], bool]
    secrets: tuple[str, ...] = ()
    limited_always: Callable[..., bool] = lambda exchange, authenticated: False
    patient: Callable[[], bool] = lambda: True


class ProbeSession:
    """One connection with TLS and transport open.

    `strays` counts the messages that came without a request. With `brief` (seconds), a request counts as unanswered
    after that time, without a fence.

    Arguments: `fence` is the fence after auth: "heartbeat", "unknown" (a message of unknown type), or "" for none.
    """

    def __init__(self, channel: Channel, surroundings: Surroundings, fence: str = "heartbeat") -> None:
        self.channel = channel
        self.tempo = surroundings.tempo
        self.tenant = ""
        self.authenticated = False
        self.tunnels = 0
        self.unresponsive = False
        self.strays = 0
        self.brief: float | None = None
        self._own: set[str] = set()  # tenants for which the connection has authenticated
        self._surroundings = surroundings
        self._clock = channel.clock
        self._expects_rate_limit = self._unpaced = False
        self._fence = fence
        self._fence_awaited_until: float | None = None  # None: other messages were read since
        self._owed = ""  # the type of an overdue answer to a fence, which may still come
        self._unanswered: Fence | None = None  # the fence that was sent after an unanswered request
        self._belongs: Callable[[Message], bool] = lambda message: False

    @property
    def wire(self) -> Wire:
        """The TLS connection."""
        return self.channel.wire

    @property
    def framer(self) -> StreamFramer | WebSocketFramer:
        """The framing of messages on the wire."""
        return self.channel.framer

    @property
    def timeout(self) -> float:
        """The seconds that one answer may take."""
        return self.tempo.first

    @property
    def ended(self) -> Ended | None:
        """How the connection ended, or None."""
        return self.channel.ended

    # ------------------------------------------------------------------ the case tells the session

    def assume(self, *, tenant: str | None = None, authenticated: bool | None = None) -> None:
        """Set the tenant that answers should name, and whether the relay takes the connection for authenticated."""
        self.tenant = self.tenant if tenant is None else tenant
        self._own.add(self.tenant)
        self.authenticated = self.authenticated if authenticated is None else authenticated

    def count_tunnels(self, more: int) -> None:
        """Count tunnels that were opened without `ask`."""
        self.tunnels += more

    def expect_rate_limit(self, *, unpaced: bool = False) -> None:
        """Accept rate_limit_exceeded as an answer; `unpaced` requests aren't held below the tenant's rate either."""
        self._expects_rate_limit = True
        self._unpaced = self._unpaced or unpaced

    # ------------------------------------------------------------------ requests

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        invalid: str = "",
        fence: bool = True,
        encode: Callable[[object], bytes] | None = None,
        followed: bool = False,
        place: str = "",
    ) -> Exchange:
        """Send one request and return the exchange.

        `invalid` describes an intended mistake: without it, an invalid request is an error of the kit. `place` is the
        place of a valid request in a series, in words. `encode` is another legal encoding. `fence=False` sends no fence
        after an answer. `followed` says that another request follows at once after an error, which finds any further
        answer.
        """
        text = (encode or spell)(dict(request))
        decoded = Decoded(check_own(request, text, invalid))
        message = self.channel.record_sent(text, decoded, invalid or place)
        return self.exchange(message, self.encode(text), fence=fence, followed=followed)

    def ask_text(self, text: bytes, *, meant: str, like: str = "", fence: bool = True) -> Exchange:
        """Send a text that is no valid message, and return the exchange.

        `meant` describes it; `like` is the type of request that it resembles, if any.
        """
        message = self.channel.record_sent(text, intended(text, like), meant)
        return self.exchange(message, self.encode(text), fence=fence)

    def ask_in_pieces(
        self,
        request: Mapping[str, Any],
        cut: Callable[[bytes], list[bytes]],
        *,
        encode: Callable[[object], bytes] | None = None,
        fragments: bool = False,
        apart: bool = False,
    ) -> Exchange:
        """Send a valid request in pieces, each in a TLS record of its own, and return the exchange.

        With `fragments`, each piece is a frame of a WebSocket message. Pieces that are `apart` are read one by one by a
        busy relay, too, if they are few. Answers before the last piece belong to the request: a relay may take each
        piece for a message.
        """
        text = (encode or spell)(dict(request))
        check_own(request, text, "")
        data = frames(cut(text)) if fragments else cut(self.encode(text))
        pause = max(_APART, min(_FAR_APART, _SPREAD / len(data))) if apart else _APART
        return self.exchange(self._note(text, "in pieces", _IN_PIECES), *data, pause=pause)

    def repeat(self, message: Message) -> Exchange:
        """Send the text of a message again, and return the exchange."""
        again = self.channel.record_sent(message.text, message.decoded, message.meant)
        return self.exchange(again, self.encode(message.text))

    def hello(self, **changes: object) -> Exchange:
        """Send a hello with all five features."""
        return self.ask({**HELLO, **changes})

    def heartbeat(self) -> Exchange:
        """Send a heartbeat."""
        return self.ask({"type": "heartbeat"})

    def exchange(
        self, request: Message, *data: bytes, fence: bool = True, followed: bool = False, pause: float = _APART
    ) -> Exchange:
        """Send the bytes of a recorded request piece by piece, with pauses in seconds, and return the exchange."""
        channel = self.channel
        self.unasked()
        self._unanswered = None
        self._take_turn()
        began = self._clock.monotonic()
        for number, piece in enumerate(data):
            if number:
                self._clock.sleep(pause)
            channel.send(piece)
        left_open = bool(request.decoded.fault) and is_left_open(self.framer, request.text)
        answered = partial(self._is_answered, request)
        brief = left_open or self.tempo.is_habit(after_two_fences(request))
        patience = self.tempo.briefly if brief else self.tempo.patience
        channel.wait_until(answered, patience if self.brief is None else self.brief)
        if self._settle_fence():
            channel.wait_until(answered, self.tempo.patience)
        silence = Silence.NONE
        if not channel.inbox and not self.ended and self.brief is None:
            silence = self._await_late_answer(request)
        waited = self._clock.monotonic() - began
        if channel.inbox and not self.ended and silence is Silence.NONE:
            self._tell_apart(request, fence=fence and request.type != "heartbeat")
            waited = waited if answered() else self._clock.monotonic() - began
        if self._fence_awaited_until is None and not followed and any(m.type == "error" for m in channel.inbox):
            channel.read(_SHORTLY)  # for a close after the error, which a fence would have met
        return self._conclude(request, silence, waited)

    def enter(self, auth: Mapping[str, Any], tenant: str) -> Exchange | None:
        """Send hello and a tenant's auth in one flight; return the exchange of the auth if both are accepted.

        None means that the relay didn't accept both in order: the connection proves nothing then.
        """
        self._take_turn()
        self._surroundings.pacer.take()
        noted = [self.note(request) for request in (HELLO, auth)]
        began = self._clock.monotonic()
        self.channel.send(b"".join(data for _, data in noted))
        self.channel.wait_for(len(noted), self.tempo.patience)
        waited = self._clock.monotonic() - began
        answers = self.channel.take()
        requests = [request for request, _ in noted]
        if [answer.type for answer in answers] != [SUCCESS_TYPES[request.type] for request in requests]:
            return None
        for request, answer in zip(requests, answers, strict=True):
            self.assume(tenant=tenant if request.type == "auth" else None)
            self.channel.inbox.append(answer)
            exchange = self._conclude(request, Silence.NONE, waited)
            if not is_success(answer):
                return None
        self.assume(authenticated=True)
        return exchange

    # ------------------------------------------------------------------ several requests at once

    def note(
        self, request: Mapping[str, Any], *, meant: str = "", encode: Callable[[object], bytes] | None = None
    ) -> tuple[Message, bytes]:
        """Record a request as sent and return it with its bytes, which the caller sends. `encode`: see `ask`."""
        text = (encode or spell)(dict(request))
        return self._note(text, meant), self.encode(text)

    def record(self, request: Mapping[str, Any], *, meant: str) -> Message:
        """Record a request as sent, which the caller sends in pieces."""
        return self._note(spell(dict(request)), meant, _IN_PIECES)

    def announce(self, meant: str) -> None:
        """Record that the next bytes are not a message, with a description."""
        self.channel.record_sent(b"", Decoded(None, fault="no message"), meant)

    def encode(self, text: bytes) -> bytes:
        """Return a text's bytes on the wire; none on a WebSocket that was closed."""
        return self.channel.encode(text)

    def keep_pace(self) -> None:
        """Wait until another request is below the tenant's rate."""
        if not self._unpaced:
            self._surroundings.pacer(self.tenant)

    def send_unanswered(self, data: bytes, *, messages: int = 1, cut: bool = False) -> None:
        """Send plain bytes that hold so many messages, and await nothing; `cut` says that they end inside a frame."""
        self._surroundings.pacer.take(messages)
        self.channel.send_on(data, inside_frame=cut)

    def together(self, requests: Sequence[Message], *pieces: bytes) -> Exchange:
        """Send the bytes of all recorded requests at once, and return their answers as one exchange.

        After each piece but the last, which ends inside a request, one answer is awaited.
        """
        for _ in requests:
            self.keep_pace()
        for piece in pieces[:-1]:
            self.send_unanswered(piece, cut=True)
            self.channel.wait_for(1, self.timeout, "an answer")
        self.send_unanswered(pieces[-1], messages=len(requests))
        answers, wanted = self.answers(len(requests)), Counter(SUCCESS_TYPES.get(each.type, "") for each in requests)
        while len(answers) >= len(requests) and not self.ended:
            # Second answers and unasked errors don't take the place of others.
            surplus = (Counter(answer.type for answer in answers if answer.type in SUCCESSES) - wanted).total()
            elsewhere = _ABOUT_NO_REQUEST if "" in wanted else {*_ABOUT_NO_REQUEST, "unknown_message_type"}
            surplus += sum(answer.member("code") in elsewhere for answer in answers)
            more = self.answers(len(requests) + surplus - len(answers))
            if not more:
                break
            answers += more
        return self.gathered(requests[0], answers)

    def ask_together(
        self,
        requests: Sequence[Mapping[str, Any]],
        *,
        invalid: str = "",
        encode: Callable[[object], bytes] | None = None,
    ) -> Exchange:
        """Send requests in one TLS record, and return all their answers as one exchange.

        `invalid` describes the mistake in one of them; `encode` is another legal encoding.
        """
        noted = [self.note(request, meant=invalid, encode=encode) for request in requests]
        return self.together([message for message, _ in noted], b"".join(data for _, data in noted))

    def gathered(self, request: Message, answers: tuple[Message, ...]) -> Exchange:
        """Return the answers to several requests, of which `request` was the first, as one exchange."""
        exchange = Exchange(request, answers, ended=self.ended, tenant=self.tenant, waited=self.timeout)
        if "rate_limit_exceeded" in error_codes(answers):
            raise RateLimited("the relay answered rate_limit_exceeded")
        return exchange

    def answers(self, count: int, wait: float | None = None) -> tuple[Message, ...]:
        """Return up to `count` messages, each awaited for `wait` seconds (None: the time-out)."""
        wait = self.timeout if wait is None else wait
        had, unasked = -1, 0  # an error about a transfer may come between the answers to several requests
        while had < len(self.channel.inbox) < count + unasked and not self.ended:
            had = len(self.channel.inbox)
            self.channel.wait_for(had + 1, wait, "an answer")
            failed = [m for m in self.channel.inbox if m.member("code") == "data_transfer_failed"]
            unasked = len(failed) if count > 1 else 0
        return self.channel.take()

    def unasked(self, wait: float = 0.0) -> None:
        """Judge messages that come within `wait` seconds without a request, as unasked or as a second answer.

        A refusal before the end of the connection stays in the inbox: the next request will draw nothing else.
        """
        channel, awaited = self.channel, self._fence_awaited_until
        # A second answer to a fence must not be taken for the answer to the next request.
        channel.read(wait if awaited is None else max(wait, awaited + _SHORTLY - self._clock.monotonic()))
        self._fence_awaited_until = None
        self._settle_fence()
        taken = channel.take()
        self.strays += len(taken)
        left = [message for message in taken if not self._belongs(message)]
        refusal = [message for message in left if self.ended and message.type == "error"]
        channel.inbox.extend(message for message in left if message not in refusal)
        if channel.inbox:
            self._conclude(None, Silence.NONE, 0.0)
        channel.inbox.extend(refusal[-1:])

    def hears(self) -> bool:
        """Whether a message comes by itself: the answer to a request that was given up."""
        return self.channel.wait_for(1, self.tempo.patience)

    def close(self) -> None:
        """Close, and give the relay time to notice if room depends on it."""
        was_open, patient = not self.ended, self._surroundings.patient()
        noticed = self.channel.close(self.tempo.closing if patient else None)
        if was_open and patient:
            self.tempo.closed(noticed)

    # ------------------------------------------------------------------ mechanics

    def _take_turn(self) -> None:
        self.keep_pace()
        self._surroundings.pacer.take()

    def _note(self, text: bytes, meant: str, fault: str = "") -> Message:
        return self.channel.record_sent(text, Decoded(json.loads(text), fault=fault), meant)

    def _conclude(self, request: Message | None, silence: Silence, waited: float) -> Exchange:
        alive = silence is not Silence.UNRESPONSIVE or self._surroundings.alive()
        if silence is Silence.UNRESPONSIVE and alive and not self.unresponsive and self._answered_late():
            silence = Silence.NONE
        answers = self.channel.take()
        self.unresponsive = self.unresponsive or silence is Silence.UNRESPONSIVE
        if answers:
            served = request is not None and any(is_success(answer) for answer in answers)
            kind = ""
            if request is not None and (served or request.meant):
                kind = answer_to(request.type) if served else awaited(request)
            self.tempo.answered_after(waited, kind)
        secrets: tuple[str, ...] = ()
        if any(answer.type == "error" for answer in answers):  # only its text is searched for them
            self.tempo.unanswered.discard(ANY_REFUSAL)
            secrets = tuple(secret for secret in self._surroundings.secrets if secret not in self._own)
        exchange = self._surroundings.observe(
            Exchange(request, answers, silence, self.ended, self.tenant, secrets, waited, alive)
        )
        self._belongs = latecomers(exchange)
        if request is not None and request.type == "tunnel_info":
            self.tunnels += any(is_success(answer) for answer in answers)
        if self._is_limited(exchange):
            raise RateLimited("the relay answered rate_limit_exceeded")
        return exchange

    def _answered_late(self) -> bool:
        """Whether the answer comes as late as that to a new connection: the relay had paused as a whole."""
        if not self.hears():
            return False
        if self._unanswered is not None:
            self.channel.wait_for(2, self.tempo.patience)
            self._owed = "" if self.channel.remove_last(self._unanswered.answer, 1) else self._unanswered.answer
        return True

    def _is_limited(self, exchange: Exchange) -> bool:
        """Whether a rate limit was hit unexpectedly.

        A malformed request may be refused with any code: if the next heartbeat is served, no limit was hit.
        """
        answer = exchange.answer
        limited = answer is not None and answer.member("code") == "rate_limit_exceeded"
        if not limited or self._expects_rate_limit:
            return False
        malformed = exchange.request is not None and bool(exchange.request.decoded.fault)
        if self._surroundings.limited_always(exchange, authenticated=self.authenticated):
            return False
        beats = malformed and self.authenticated and self._fence == "heartbeat" and not self.ended
        return not beats or not any(is_success(answer) for answer in self.heartbeat().answers)

    def _is_answered(self, request: Message) -> bool:
        """Whether the inbox holds an answer to `request`: anything but a success answer to another request."""
        return any(not is_success(message) or matches(request, message) for message in self.channel.inbox)

    def _tell_apart(self, request: Message, *, fence: bool) -> None:
        """Await the answer to `request`, and leave its answers in the inbox; `fence`: send a fence after any answer.

        The first message may be the second answer to an earlier request, or an error that comes unasked.
        """
        tempo, inbox = self.tempo, self.channel.inbox
        surprising = inbox[0].member("code") in _ABOUT_NO_REQUEST and not request.meant
        if self.authenticated and (fence or surprising):
            self._fence_off(request)
        elif surprising:
            self.channel.wait_until(lambda: any(matches(request, message) for message in inbox), tempo.patience)
        elif not self._is_answered(request):
            asked = answer_to(request.type)
            if not self.channel.wait_until(partial(self._is_answered, request), tempo.timeout(asked), asked):
                tempo.waited_for_nothing(asked)

    def _fence_off(self, request: Message) -> None:
        """Leave only the answers to `request` in the inbox: those received before the fence's own answer."""
        channel, kind, fence = self.channel, _kind(request, self.channel.inbox[0]), self._next_fence(request)
        if not self.tempo.wants_fence(kind) or fence is None or self.unresponsive:
            return
        kept, answered = len(channel.inbox), partial(self._count_of, fence.answer, len(channel.inbox))
        sent = self._send_fence(fence)
        channel.wait_until(lambda: answered() > 0 or self._count_of("error", kept) > 0, self.tempo.patience)
        if self._count_of("error", kept) and not channel.wait_until(lambda: answered() > 0, _SHORTLY):
            self._fence_refused(fence, kept)
            return
        waited = self._await_fence(lambda: answered() > 0, "a fence's answer")
        if self.ended:
            self.tempo.closing_after.add(kind)
        if not channel.remove_last(fence.answer, kept) and not self.ended:
            self.unresponsive = True
            self._owed = fence.answer
            if len(channel.inbox) == kept and sent.type == "heartbeat" and not request.decoded.fault:
                alive = self._surroundings.alive()
                if alive and channel.wait_until(lambda: answered() > 0, self.tempo.patience):
                    self.unresponsive, self._owed = False, ""
                    channel.remove_last(fence.answer, kept)
                    return
                silent = Exchange(sent, silence=Silence.UNRESPONSIVE, waited=waited, relay_alive=alive)
                self._surroundings.observe(silent)

    def _count_of(self, kind: str, start: int) -> int:
        """Return the number of messages of a type in the inbox, from index `start` on; none about a transfer."""
        found = [message for message in self.channel.inbox[start:] if message.type == kind]
        return sum(message.member("code") != "data_transfer_failed" for message in found)

    def _fence_refused(self, fence: Fence, kept: int) -> None:
        """Tell a refused fence from a second error: the relay may have dropped the identity. A second fence tells."""
        self._send_fence(fence)
        self._await_fence(
            lambda: self._count_of(fence.answer, kept) > 0 or self._count_of("error", kept) > 1, "a fence's answer"
        )
        served = self._count_of(fence.answer, kept) > 0
        if served:
            self.channel.wait_until(lambda: self._count_of(fence.answer, kept) > 1, self.tempo.patience)
        refusals = [self.channel.remove_last(fence.answer if served else "error", kept) for _ in range(2)]
        self.authenticated = served
        if all(refusal is not None and refusal.member("code") == "invalid_token" for refusal in refusals):
            self.close()  # an error may end the identity as well as the connection: no request will be served any more

    def _await_late_answer(self, request: Message) -> Silence:
        """Learn whether an unanswered request was ignored, is held back or is only answered late."""
        if self.unresponsive:
            return Silence.UNRESPONSIVE
        tempo, channel, asked = self.tempo, self.channel, answer_to(request.type)
        fence = self._next_fence(request)
        opening = request.type in ("hello", "auth") and not request.meant
        if fence is None or tempo.suspects or opening:
            # If hello or auth is only slow, a fence that draws an error could cost the connection.
            channel.wait_for(1, tempo.alone if tempo.suspects else tempo.timeout(asked), asked)
            if channel.inbox or self.ended:
                tempo.answered_alone()
                return Silence.NONE
            tempo.waited_for_nothing(asked)
            if fence is None:
                return Silence.UNRESPONSIVE
            # After so long a silence, a relay answers a fence at once or never.
            tempo.waited_for_nothing(or_fence(request.type))
        return self._fence_twice(fence, request)

    def _fence_twice(self, fence: Fence, request: Message) -> Silence:
        """Send two fences after an unanswered request, and return the meaning of their answers."""
        channel = self.channel
        sent, slowest, pushed = 0, 0.0, False
        channel.read(0.0)  # the answer may have come while the suite itself was late
        if channel.inbox or self.ended:
            return Silence.NONE
        for number in (1, 2):
            self._send_fence(fence)
            waited = self._await_fence(partial(channel.has, number), or_fence(request.type))
            sent, slowest = number, max(slowest, waited)
            if self.ended:
                break
            if len(channel.inbox) < number:
                self._unanswered = fence
                return Silence.NONE if channel.inbox else Silence.UNRESPONSIVE
            channel.read(_SHORTLY)
            pushed = pushed or (number == 1 and len(channel.inbox) > 1 and waited < self.tempo.at_once)
        else:
            # A slow relay may have answered the request and one fence: the other fence's answer takes as long again.
            # Another one serves requests side by side: the first silence of a kind lasts for the whole time-out.
            kind = after_two_fences(request)
            brief = self.tempo.mute and self.tempo.is_habit(kind)  # else an error may be the request's or a fence's
            longest = max(self.tempo.briefly if brief else self.tempo.patience, 2 * slowest)
            if slowest < self.tempo.patience and self.tempo.was_silent(kind):
                channel.wait_for(3, longest, kind)
            elif not channel.wait_for(3, self.timeout, kind):
                self.tempo.waited_for_nothing(kind)
        # The request's own answer comes first: if the connection ended, some fences may have had none.
        for _ in range(min(sent, len(channel.inbox) - 1) if self.ended else sent):
            channel.remove_last(fence.answer)
        # A malformed request may have been completed by the fence.
        if pushed and len(channel.inbox) == 1 and not request.meant and not self.ended and self.tempo.pushed_out():
            channel.inbox.clear()
            return Silence.HELD_BACK
        return Silence.NONE if channel.inbox or self.ended else Silence.IGNORED

    def _next_fence(self, after: Message) -> Fence | None:
        """Return a fence for the request `after`, or None if no fence can be sent.

        Its answer differs from that of the request: two heartbeat_responses would not tell which one is missing. But if
        a wrong request draws none, as on a relay that refuses nothing, their number tells.
        """
        mute = self.tempo.mute
        if self.authenticated and self._fence == "heartbeat" and (after.type != "heartbeat" or (mute and after.meant)):
            return Fence({"type": "heartbeat"}, "heartbeat_response")
        return Fence({"type": f"cbspec_fence_{next(_numbers)}"}, "error") if self._fence and not mute else None

    def _settle_fence(self) -> bool:
        """Remove an overdue answer to a fence from the front of the inbox; return whether it was there."""
        inbox = self.channel.inbox
        there = bool(self._owed and inbox and inbox[0].type == self._owed)
        if there:
            del inbox[0]
            self._owed = ""
        return there

    def _send_fence(self, fence: Fence) -> Message:
        self._take_turn()
        text = spell(fence.request)
        message = self._note(text, "fence")
        self.channel.send(self.encode(text))
        return message

    def _await_fence(self, enough: Callable[[], bool], what: str) -> float:
        """Await a fence's answer and return the seconds waited; a time-out for `what` is remembered."""
        began = self._clock.monotonic()
        if not self.channel.wait_until(enough, self.tempo.timeout(what), what) and not self.ended:
            self.tempo.waited_for_nothing(what)
        self._fence_awaited_until = until = self._clock.monotonic()
        return until - began


HELLO: Mapping[str, Any] = {
    "type": "hello",
    "version": "1.0",
    "features": ["tls", "heartbeat", "tunnel_info", "multi_tenancy", "metrics"],
}
"""The hello of the specification. Source: Message Types / 1. Hello."""


def _kind(request: Message, answer: Message) -> str:
    return f"{request.type} {answer.type} {answer.member('code')}"


_ABOUT_NO_REQUEST: Final = {*UNASKED} - {"rate_limit_exceeded"}
