"""Whether the relay is still there: a target that dies half-way is noticed at once, and costs no case a time-out.

A relay is dead when it takes no connection, twice in a row, after it took some. What died is blamed on the last that
was sent before (CB-ROB-002), whichever case sent it; a case in which the relay died says nothing of its own
requirement. It may come back, when somebody starts it again: then the run goes on. One that takes connections and
answers nothing on any of them is as good as dead, but nobody is blamed.
"""

from __future__ import annotations

import time
from typing import Final

from cbspec_conformance.judging.errors import Inconclusive, NotExercised
from cbspec_conformance.judging.findings import Finding, Outcome
from cbspec_conformance.probe.tcp import Unreachable
from cbspec_conformance.probe.tempo import retry
from cbspec_conformance.probe.wire import HandshakeFailure
from cbspec_conformance.record.render import render_connection
from cbspec_conformance.record.transcript import Bytes, Direction, End, Ended, Message
from cbspec_conformance.target.target import Target

_AGAIN: Final = 0.2
"""Seconds between the two attempts: a listener's queue that is full for a moment is no death."""

_LOOKS: Final = 2.0
"""Seconds between two looks whether a relay that was silent has come to itself: each may cost a time-out."""

LIVES_ON: Final = "CB-ROB-002"


class Mute(Exception):
    """A connection was made, and hello was not answered on it."""


Trouble = Unreachable | HandshakeFailure | Mute


class Life:
    """Knows whether the relay lives, for one process of a run.

    Arguments: `processes` is how many share the relay; `provoked` whether the profile has conditions that may restart
    it (only then may another process be the reason why it is gone).
    """

    def __init__(self, processes: int = 1, *, provoked: bool = False) -> None:
        self.gone = ""
        self._processes = processes
        self._provoked = provoked
        self._before: Target | None = None
        self._mute = False
        self._look_again = 0.0

    def check_back(self, relay: Target) -> None:
        """Raise Inconclusive at once where the relay is gone, unless it has come back."""
        if not self.gone:
            return
        if time.monotonic() >= self._look_again:
            if self._attempt(relay) is None:
                self.gone = ""
                return
            self._look_again = time.monotonic() + _LOOKS
        raise Inconclusive(self.gone)

    def look(self, relay: Target) -> bool:
        """Look whether the relay outlived a case; return whether it did. A death becomes a finding of the case."""
        if relay.trouble is None and not relay.mute and not _ended_by_relay(relay):
            self._before = relay
            return True
        relay.close()
        self._mute = relay.mute
        error = self._attempt(relay)
        if error is not None:
            time.sleep(_AGAIN)
            error = self._attempt(relay)
        if error is None:
            self._before = relay
            return True
        self._mourn(relay, error)
        return False

    def _attempt(self, relay: Target) -> Trouble | None:
        """Try one connection; return what went wrong.

        With TLS where TLS was the trouble, or a connection ended: the queue of one who dies still takes connections.
        With a hello where the trouble was that nothing is answered.
        """
        try:
            relay.reach(tls=isinstance(relay.trouble, HandshakeFailure) or _ended_by_relay(relay))
        except (Unreachable, HandshakeFailure) as error:
            return error
        except NotExercised:  # no room for one more connection within the profile's bounds: nothing can be said
            return None
        if not self._mute:
            return None
        relay.mute = False
        relay.alive()
        for session in relay.open_sessions:
            session.close()  # or the case would run with a connection less than the relay's limits allow
        return Mute("no answer to hello on a new connection") if relay.mute else None

    def _mourn(self, relay: Target, error: Trouble) -> None:
        silent = not isinstance(error, Unreachable)
        suspect = relay if relay.said_anything or self._before is None else self._before
        deaf_to = "hello" if isinstance(error, Mute) else "TLS handshake"
        what = f"takes connections, but answers no {deaf_to} any more" if silent else f"is gone: {error}"
        self.gone = f"the relay died: after {suspect.case} it {what}"
        finding = self._finding(suspect, str(error), uncertain=silent or suspect.restless or self._shared)
        relay.findings.append(finding)
        if not silent:
            try:  # a supervisor may start it again
                retry(lambda: relay.reach(tls=False), (Unreachable,), relay.tempo.most)
            except Unreachable:
                return
            self.gone = ""

    @property
    def _shared(self) -> bool:
        return self._processes > 1 and self._provoked

    def _finding(self, suspect: Target, seen: str, *, uncertain: bool) -> Finding:
        last = _last_sent(suspect)
        sent = last.meant or last.type or "bytes" if last is not None else "a connection, and nothing on it"
        seen = f"{seen}, twice; the last that was sent before: {sent}"
        if self._processes > 1:
            seen += f"; {self._processes} processes shared the relay: a run without -n is sure who killed it"
        if uncertain:
            return Finding(LIVES_ON, Outcome.INCONCLUSIVE, suspect.case, self.gone)
        exchange = render_connection(suspect.transcript, last.connection) if last is not None else ""
        expected = "a relay that lives on, and takes new connections"
        return Finding(LIVES_ON, Outcome.FAILED, suspect.case, expected=expected, seen=seen, exchange=exchange)


def _ended_by_relay(relay: Target) -> bool:
    return any(isinstance(record, Ended) and record.how is not End.OURS for record in relay.transcript.records)


def _last_sent(relay: Target) -> Message | None:
    """Return the first message after which nothing came any more, or else the last one."""
    waiting: Message | None = None
    sent: Message | None = None
    for record in relay.transcript.records:
        if isinstance(record, Bytes) and record.direction is Direction.RECEIVED:
            waiting = None
        elif isinstance(record, Message) and record.direction is Direction.SENT:
            waiting = waiting or record
            sent = record
    return waiting or sent
