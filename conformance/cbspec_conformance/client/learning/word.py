"""One word: a run of the client against a relay whose answers are the word's inputs, one for each request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cbspec_conformance.client.habits import usual_form
from cbspec_conformance.client.learning.answers import ANEW, ENDS, GONE, WAITS, AnswerLetter, forced, step_of, tunnel
from cbspec_conformance.client.observed import Exit, Observation
from cbspec_conformance.client.process import ClientProcess
from cbspec_conformance.client.session import ProcessorShare, Session
from cbspec_conformance.client.situation_relay import Script, SituationRelay

_AFTER_EXIT: Final = 0.1
"""Seconds in which the relay still reads the last messages of a client that has ended."""


@dataclass(slots=True)
class WordSession(Session):
    """One run of the client. `outputs` has the output of each input of `word`.

    `pause` is the time in seconds after which a client that does nothing waits. The watch goes on for `settle` seconds
    after the last output, for the text that the client prints. `first` is its first message.
    """

    word: Sequence[AnswerLetter] = ()
    pause: float = 3.0
    settle: float = 0.0
    outputs: list[str] = field(default_factory=list)
    first: str = ""
    _answered: int = 0
    _struck: float = 0.0
    _done: float | None = None
    _connection: int = 0
    _tunnels: list[object] = field(default_factory=list)
    _tokens: list[object] = field(default_factory=list)

    def said(self, usual: frozenset[str]) -> list[str]:
        """Return the lines of output since the last answer, but the usual ones."""
        lines = self.seen.lines(since=self._struck, until=self.seen.asked)
        return [line for line in lines if line.strip() and usual_form(line) not in usual]

    def _script(self) -> Script | None:
        return self._faults

    def _faults(self, number: int, type_: str, text: bytes) -> Sequence[Mapping[str, Any]]:
        """Record a message as an output, and return the faults for its answer."""
        shown = self._shown(number, type_, text)
        if not self.first:
            self.first = shown
        elif len(self.outputs) < self._answered:
            self._add(shown)
        if self._answered == len(self.word):
            return ()
        letter = self.word[self._answered]
        self._answered += 1
        self._struck = self._now()
        return letter.faults(step_of(shown))

    def _shown(self, number: int, type_: str, text: bytes) -> str:
        anew = ANEW if self._connection and number != self._connection else ""
        self._connection = number
        body = _object(text)
        more = ""
        if type_ == "tunnel_info":
            more = self._tunnel(body.get("tunnel_id"))
        elif type_ == "auth":
            more = ", another token" if self._tokens and body.get("token") not in self._tokens else ""
            self._tokens.append(body.get("token"))
        return f"{type_ if type_ != 'unknown' else 'a message of unknown type'}{more}{anew}"

    def _tunnel(self, tunnel_id: object) -> str:
        """Return which tunnel it is: as many have numbers as a clean session has tunnels."""
        if tunnel_id not in self._tunnels:
            self._tunnels.append(tunnel_id)
        number = self._tunnels.index(tunnel_id) + 1
        if number > max(1, self.habits.tunnels):
            return ", another tunnel_id"
        return f", {tunnel(number)}" if number > 1 else ""

    def _add(self, output: str) -> None:
        self.outputs.append(output)
        if len(self.outputs) == len(self.word):
            self._done = self._now()

    async def _watch(self, relay: SituationRelay, client: ClientProcess, busy: ProcessorShare) -> None:
        while True:
            self.seen.exit = client.exit
            now, due = self._now(), self._due()
            if now >= due and not self._goes_on(relay):
                return
            if self.first:
                busy.waits()
            await self._next_event(max(0.0, due - now))

    def _due(self) -> float:
        """Return when the client is taken to wait, unless something else happens."""
        if self._done is not None:
            return self._done + self.settle
        if self.seen.exit is not None:
            return self.seen.exit.at + _AFTER_EXIT
        if not self.first:
            return self.profile.start_time
        return _last_event(self.seen) + self.pause

    def _goes_on(self, relay: SituationRelay) -> bool:
        """Note that the client has ended, or waits; return whether an input is left that it can notice."""
        if self._done is not None or not self.first:
            return False
        if len(self.outputs) < self._answered:
            self._add(self._rest())
        last = self.outputs[-1]
        while self._done is None:
            letter = self.word[self._answered]
            self._answered += 1
            output = forced(last, letter)
            if not output:
                self._struck = self.seen.acted = self._now()
                relay.drop_all(letter.drop)
                return True
            self._add(output)
        return self.settle > 0

    def _rest(self) -> str:
        """Return the output of a client that sends nothing more."""
        if (end := self.seen.exit) is not None:
            return _end(end)
        if any(each.ended is None for each in self.seen.connections):
            return WAITS
        return GONE[self.seen.connections[-1].by != "client"]


def _end(end: Exit) -> str:
    return f"{ENDS}, {end.signal or f'code {end.code}'}"


def _last_event(seen: Observation) -> float:
    """Return the time of the last event on the wire."""
    times = [seen.acted or 0.0]
    for each in seen.connections:
        times += [each.at, each.ended or 0.0]
        times += [message.at for way in (each.incoming, each.outgoing) for message in way.messages[-1:]]
    return max(times)


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
