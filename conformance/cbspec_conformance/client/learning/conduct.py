"""Judges a client's words by the catalogue, step by step. Pure; only demands that leave no choice are judged.

The rules are those of `client.rules`, for a single answer: a client that waits, reconnects or says something has time
and output that a word doesn't show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.learning.answers import ANEW, ENDS, OK, UNASKED, WAITS, AnswerLetter, step_of, tunnel
from cbspec_conformance.client.rules.refused import NEVER_AGAIN
from cbspec_conformance.client.situations import STEPS

_ORDER: Final = tuple(STEPS)
_OPENING: Final = _ORDER[:-1]
_NUMBERED: Final = re.compile(r"tunnel \d+")


@dataclass(frozen=True, slots=True)
class ClientCourse:
    """What is known of a client after some answers.

    `step` is the request that the next one answers, and `tunnel` its tunnel. `refused` has the requests that may not be
    tried again, each with the requirement. `sent` are the requests of this connection, while all answers to them were
    good (None: one wasn't). `up` says that a connection before had opened everything; `unclear` that the client may
    take an unasked message for an answer.
    """

    step: str
    tunnel: str = ""
    refused: frozenset[tuple[str, str]] = frozenset()
    sent: tuple[str, ...] | None = ()
    up: bool = False
    unclear: bool = False
    over: bool = False


class ClientConduct:
    """The rules for a client with some habits.

    `first` is its first message, and `opening` are the requests of its clean session before heartbeats. `declares`: it
    declares its time-out, so that a client that waits has hung.
    """

    def __init__(
        self, letters: Mapping[str, AnswerLetter], habits: Habits, clean: Sequence[str], *, declares: bool
    ) -> None:
        self._letters, self._habits, self._declares = letters, habits, declares
        steps = [*map(step_of, clean)]
        self._opening = tuple(step for step in steps if step in _OPENING)
        self._late_beats = "heartbeat" not in steps[: len(self._opening)] and "heartbeat" not in habits.pipelined
        self.start = ClientCourse(step_of(clean[0]), sent=(step_of(clean[0]),))

    def open_point(self, standing: ClientCourse, name: str) -> str:
        """Return "": nothing but breaches is listed."""
        return ""

    def judge(self, standing: ClientCourse, name: str, output: str) -> tuple[str, ClientCourse]:
        """Return the requirement that an output breaks, or "", and what is known after it."""
        if standing.over:
            return "", standing
        letter = self._letters[name]
        if standing.step and standing.step not in letter.steps:
            letter = OK
        request = standing.tunnel if standing.step == "tunnel_info" else standing.step
        if letter.code in NEVER_AGAIN and request and standing.step in _OPENING:
            standing = replace(standing, refused=standing.refused | {(request, NEVER_AGAIN[letter.code])})
        breach = "" if standing.unclear else self._breach(standing, letter, output)
        return breach, self._after(standing, letter, output)

    def _breach(self, standing: ClientCourse, letter: AnswerLetter, output: str) -> str:
        if output.startswith(f"{ENDS}, SIG"):
            return "CC-REF-006"
        step, then = standing.step, step_of(output)
        if requirement := dict(standing.refused).get(_again(output)):
            return requirement
        failed = letter not in (OK, UNASKED)
        if failed and step in _OPENING:
            if output == f"{ENDS}, code 0":
                return "CC-ERR-002"
            if output == WAITS and self._declares and step != "tunnel_info" and not letter.drop:
                return _hangs(letter, step)
            if self._goes_on(step, then, output):
                return letter.breach(step)
        return self._not_restored(standing, letter, then) if not failed else ""

    def _goes_on(self, step: str, then: str, output: str) -> bool:
        """Whether an output is a later step on the same connection, which waits for the answers before it."""
        later = _ORDER[_ORDER.index(step) + 1 :]
        return then in later and then not in self._habits.pipelined and not output.endswith(ANEW)

    def _not_restored(self, standing: ClientCourse, letter: AnswerLetter, then: str) -> str:
        """Return the requirement about the new session of a client that sends heartbeats without it, or ""."""
        if not standing.up or standing.sent is None or then != "heartbeat" or letter is UNASKED:
            return ""
        lacking = len(standing.sent) < len(self._opening) and "heartbeat" not in standing.sent
        return "CC-REC-003" if lacking and self._late_beats else ""

    def _after(self, standing: ClientCourse, letter: AnswerLetter, output: str) -> ClientCourse:
        then, anew = step_of(output), output.endswith(ANEW)
        sent = standing.sent if letter is OK else None
        up = standing.up or sent == self._opening
        if anew:
            sent = ()
        if sent is not None:
            sent = (*sent, then) if len(sent) <= len(self._opening) else None
        return ClientCourse(
            then,
            _tunnel(output),
            standing.refused,
            sent,
            up=up,
            unclear=not anew and (standing.unclear or letter is UNASKED),
            over=not then and output != WAITS,
        )


def _tunnel(output: str) -> str:
    """Return the tunnel of a tunnel_info, "" if it has no number, and for another message."""
    found = _NUMBERED.search(output)
    return found[0] if found else tunnel(1) if step_of(output) == "tunnel_info" and "," not in output else ""


def _again(output: str) -> str:
    """Return the request that an output may repeat: for a tunnel_info, the tunnel."""
    if step_of(output) == "tunnel_info":
        return _tunnel(output)
    return "" if "another token" in output else step_of(output)


def _hangs(letter: AnswerLetter, step: str) -> str:
    requirement = letter.breach(step)
    return requirement if requirement.startswith("CC-SIL") else "CC-REF-005" if letter.code else "CC-BRK-012"
