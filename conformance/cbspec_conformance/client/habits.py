"""The habits that a client shows in a clean session: how far it goes, whether it stays, its output, its heartbeats."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cbspec_conformance.client.observed import ClientConnection, Observation
from cbspec_conformance.client.situations import STEPS
from cbspec_conformance.record.quoting import on_one_line

_VARYING: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{12,}\b|\d+", re.IGNORECASE)
_OPENING: Final = ("hello", "auth", "tunnel_info")
_LATE: Final = 0.05  # seconds: output that comes only with the end of the process was in a buffer
_SHOWN: Final = 3  # lines of output, from the beginning and from the end


def usual_form(line: str) -> str:
    """Return a line of output without its times, numbers and random names."""
    return _VARYING.sub("#", line)


@dataclass(frozen=True, slots=True)
class Habits:
    """The habits of one client. Times are in seconds.

    `fault` is the reason why the clean session didn't work, or "". `counts` has the number of each type of request;
    `pipelined` are the types that were sent before the answer to the request before. `ready` is the time of the last
    answer before heartbeats. `interval` is that of heartbeats, `first_beat` the time from `ready` to the first one.
    `claims` are, by step, lines that only a client prints whose step has succeeded; `usual` are all lines of the clean
    session. `listens` are the local ports that accept connections while the client is up.
    """

    fault: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    pipelined: frozenset[str] = frozenset()
    stays: bool = False
    exit_code: int | None = None
    ready: float = 0.0
    interval: float | None = None
    first_beat: float | None = None
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    usual: frozenset[str] = frozenset()
    listens: frozenset[int] = frozenset()

    @property
    def beats(self) -> bool:
        """Whether the client was seen to send heartbeats."""
        return self.counts.get("heartbeat", 0) > 0

    def lacking(self, connection: ClientConnection) -> list[str]:
        """Return the steps before heartbeats that a connection has fewer requests of than the clean session."""
        return [step for step in _OPENING if len(connection.of(step)) < self.counts.get(step, 0)]

    @property
    def tunnels(self) -> int:
        """The number of tunnels that it opens."""
        return self.counts.get("tunnel_info", 0)


def why_unusable(clean: Observation, started: str) -> str:
    """Return why a clean session can't be the control of other situations, or "". `started`: why it didn't start."""
    if started:
        return started
    if not clean.connections:
        return f"it never connected{_last_words(clean)}"
    plain = next((each for each in clean.connections if each.handshake.plain), None)
    if plain is not None:
        return "it connects without TLS"
    if not any(each.handshake.done for each in clean.connections):
        reason = clean.connections[0].handshake.failure or "the TLS handshake didn't end"
        return f"TLS: {reason}{_last_words(clean)}"
    main = main_connection(clean)
    for step in ("hello", "auth"):
        if not main.of(step):
            return f"it never sent {step}{_last_words(clean)}"
        if main.answered(STEPS[step]) is None:
            return f"its {step} was not accepted{_other_transport(main)}{_last_words(clean)}"
    if main.of("tunnel_info") and main.answered(STEPS["tunnel_info"]) is None:
        return f"its tunnel_info was not accepted{_last_words(clean)}"
    end = clean.ended_itself
    if end is not None and (end.signal or end.code):
        return f"it ended with {end.signal or f'exit code {end.code}'} in a clean session{_last_words(clean)}"
    return ""


def _other_transport(main: ClientConnection) -> str:
    """Return the remark that a client speaks plain messages to a WebSocket relay, or ""."""
    plain = main.incoming.frames is None and main.outgoing.frames is not None
    return ": it sends messages without a WebSocket upgrade (see {transport}, or leave out --transport)" * plain


def _last_words(clean: Observation) -> str:
    shown = on_one_line((line.text for line in clean.output), _SHOWN, _SHOWN)  # runtimes say the cause first
    return f"; its output: {shown}" if shown else "; it printed nothing"


def main_connection(observation: Observation) -> ClientConnection:
    """Return the connection on which the client came furthest."""
    return max(observation.connections, key=lambda each: len({message.type for message in each.messages}))


def learn(clean: Observation, paced: Observation | None = None, down: Observation | None = None) -> Habits:
    """Return the habits that a clean session shows, one with late answers, and one with an unreachable relay."""
    if fault := why_unusable(clean, ""):
        return Habits(fault)
    main = main_connection(clean)
    counts = {step: len(main.of(step)) for step in STEPS}
    accepted = [time for step in _OPENING if (time := _last_answer(main, step)) is not None]
    ready = max(accepted, default=0.0)
    beats = [message.at for message in main.of("heartbeat")]
    gaps = [after - before for before, after in itertools.pairwise(beats)]
    end = clean.ended_itself
    return Habits(
        counts=counts,
        pipelined=frozenset(_pipelined(main)),
        stays=end is None,
        exit_code=end.code if end is not None else None,
        ready=ready,
        interval=statistics.median(gaps) if gaps else None,
        first_beat=max(0.0, beats[0] - ready) if beats else None,
        claims=_claims(paced, down) if paced is not None and down is not None else {},
        usual=frozenset(usual_form(line) for each in (clean, paced) if each is not None for line in each.lines()),
        listens=frozenset(port for port, open_ in clean.ports.items() if open_),
    )


def _last_answer(main: ClientConnection, step: str) -> float | None:
    times = [message.at for message in main.outgoing.messages if message.type == STEPS[step]]
    return times[-1] if times else None


def _pipelined(main: ClientConnection) -> Iterable[str]:
    answers = [message.at for message in main.outgoing.messages]
    for place, message in enumerate(main.messages):
        if sum(at < message.at for at in answers) < place:
            yield message.type


def _claims(paced: Observation, down: Observation) -> Mapping[str, frozenset[str]]:
    """Return, for each step, the lines that follow its answer in a session with late answers, and only there.

    Only late answers show the order: a line printed before a request may be read after its answer otherwise.
    """
    asked = paced.watched if paced.ended_itself is None else float("inf")
    if not paced.connections or (paced.output and all(line.at >= asked - _LATE for line in paced.output)):
        return {}
    main = main_connection(paced)
    neutral = {usual_form(line) for line in down.lines()}
    found: dict[str, frozenset[str]] = {}
    for step in _OPENING:
        at = main.answered(STEPS[step])
        if at is not None:
            before = {usual_form(line) for line in paced.lines(until=at)}
            after = {usual_form(line) for line in paced.lines(since=at, until=asked)}
            claims = after - before - neutral - {""}
            # A client may log an answer as it came, before it judges it.
            found[step] = frozenset(line for line in claims if not any(answer in line for answer in STEPS.values()))
    return found
