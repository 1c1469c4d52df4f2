"""Detects at once that the relay is down, so that no later case spends a time-out on it.

A relay is down if it accepted connections before and refuses two in a row. CB-ROB-002 is blamed on the last message
before, in any case; a case in which the relay went down says nothing about its own requirement. After a restart, the
run goes on. A relay that accepts connections, but answers nothing for longer than any pause, counts as down, too.
"""

from __future__ import annotations

import time
from typing import Final

from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.tempo import retry
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.conclusions import Breach
from cbspec_conformance.record.cost import Timekeeper
from cbspec_conformance.record.excerpt import ALIVE, in_order
from cbspec_conformance.record.render import render_connection
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Message
from cbspec_conformance.target.relay import LONGEST_PAUSE, RelayUnderTest

_AGAIN: Final = 0.2  # seconds between the two attempts: a listener's backlog may be full for a moment
_LOOKS: Final = 2.0  # seconds between two checks whether an unresponsive relay has recovered: each may cost a time-out

_NO_HELLO: Final = f"no answer to hello on new connections for {LONGEST_PAUSE:.0f} s"
STAYS_UP: Final = "CB-ROB-002"


class Unanswered(Exception):
    """Hello was not answered on a new connection."""


Trouble = Unreachable | HandshakeFailure | Unanswered


class Life:
    """Knows whether the relay is alive, for one process of a run.

    Arguments: `processes` is the number of processes that share the relay; `back` are the seconds within which a
    supervisor is known to restart it.
    """

    def __init__(self, processes: int = 1, *, clock: Timekeeper = time, back: float = 0.0) -> None:
        self.gone = ""
        self._processes = processes
        self._clock = clock
        self._back = back
        self._before: RelayUnderTest | None = None
        self._silent = False
        self._look_again = 0.0

    def check_back(self, relay: RelayUnderTest) -> None:
        """Raise Inconclusive if the relay is gone and has not come back."""
        if not self.gone:
            return
        if self._clock.monotonic() >= self._look_again:
            if self._attempt(relay) is None:
                self.gone = ""
                return
            self._look_again = self._clock.monotonic() + _LOOKS
        raise Inconclusive(self.gone)

    def look(self, relay: RelayUnderTest) -> bool:
        """Return whether the relay is still up after a case; if not, this becomes a finding of the case."""
        if relay.signs.trouble is None and not relay.signs.silent and not _ended_by_relay(relay):
            self._before = relay
            return True
        relay.close()
        self._silent = relay.signs.silent or relay.signs.ended
        if self._silent:
            error: Trouble | None = None if relay.resumes() else relay.signs.trouble or Unanswered(_NO_HELLO)
        else:
            error = self._attempt(relay)
        if error is not None and not self._silent:
            self._clock.sleep(_AGAIN)
            error = self._attempt(relay)
        if error is None:
            self._before = relay
            return True
        self._report(relay, error)
        return False

    def _attempt(self, relay: RelayUnderTest) -> Trouble | None:
        """Try one connection and return the error.

        After trouble with TLS or an ended connection, the attempt includes TLS: the backlog of a terminating process
        still accepts TCP connections. After silence, it includes a hello.
        """
        try:
            relay.reach(tls=isinstance(relay.signs.trouble, HandshakeFailure) or _ended_by_relay(relay))
        except (Unreachable, HandshakeFailure) as error:
            return error
        except NotExercised:  # the profile allows no other connection
            return None
        if not self._silent:
            return None
        relay.signs.silent = False
        relay.alive()
        for session in relay.room.open_sessions:
            session.close()  # an open one would take a connection of the case's limits
        return Unanswered(_NO_HELLO) if relay.signs.silent else None

    def _report(self, relay: RelayUnderTest, error: Trouble) -> None:
        silent = not isinstance(error, Unreachable)
        suspect = self._before if self._before is not None and _last_sent(relay)[1] is None else relay
        ignored = "hello" if isinstance(error, Unanswered) else "TLS handshake"
        what = f"accepts connections, but answers no {ignored}" if silent else f"is gone: {error}"
        self.gone = f"the relay went down: after {suspect.case} it {what}"
        # A case that causes a condition of the whole relay has it alone, so no other can be the reason.
        uncertain = suspect.signs.restless or (silent and not relay.signs.ended)
        self._blame(relay, suspect, str(error), uncertain=uncertain)
        if not silent:
            try:  # a supervisor may restart it
                retry(lambda: relay.reach(tls=False), (Unreachable,), max(self._back, relay.tempo.most), self._clock)
            except Unreachable:
                return
            self.gone = ""

    def _blame(self, relay: RelayUnderTest, suspect: RelayUnderTest, seen: str, *, uncertain: bool) -> None:
        waiting, last = _last_sent(suspect)
        seen = f"{seen}{'' if relay.signs.ended else ', twice'}; the last message sent before: {_named(last)}"
        if waiting is not None and waiting is not last:
            seen += f"; the first one without an answer: {_named(waiting)}"
        if self._processes > 1:
            seen += f"; {self._processes} processes shared the relay: a run with --jobs 1 shows which case stopped it"
        exchange = "" if last is None else render_connection(suspect.transcript, last.connection, waiting or last)
        breach = Breach(STAYS_UP, "a relay that stays up and accepts new connections", seen)
        relay.log.went_down(suspect.case, breach, reason=self.gone, certain=not uncertain, exchange=exchange)


def _ended_by_relay(relay: RelayUnderTest) -> bool:
    return any(isinstance(record, Ended) and record.how is not End.OURS for record in relay.transcript.records)


def _named(message: Message | None) -> str:
    return message.meant or message.type or "bytes" if message is not None else "none"


def _last_sent(relay: RelayUnderTest) -> tuple[Message | None, Message | None]:
    """Return the first message after which nothing was received (or None), and the last one."""
    waiting: Message | None = None
    sent: Message | None = None
    for record in in_order(relay.transcript):
        if isinstance(record, Bytes) and record.direction is Direction.RECEIVED:
            waiting = None
        elif isinstance(record, Message) and record.direction is Direction.SENT and record.meant != ALIVE:
            waiting = waiting or record
            sent = record
    return waiting, sent
