"""The rules for situations: pure functions from what was observed to findings, one for each kind of situation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.habits import Habits
from cbspec_conformance.client.observed import Connection, Observation
from cbspec_conformance.client.reaction import Reaction, reaction
from cbspec_conformance.client.retries import has_no_end, not_growing, judge_retries
from cbspec_conformance.client.rules_always import judge_always
from cbspec_conformance.client.rules_clean import judge_clean
from cbspec_conformance.client.situations import STEPS, Kind, Situation
from cbspec_conformance.client.verdict import Case
from cbspec_conformance.client.watch import limits
from cbspec_conformance.judging.verdicts import Finding

NEVER_AGAIN: Final[Mapping[str, str]] = {
    "invalid_token": "CC-RTY-003",
    "tenant_not_found": "CC-RTY-004",
    "ip_not_allowed": "CC-RTY-005",
    "invalid_tunnel_info": "CC-RTY-006",
    "unknown_message_type": "CC-RTY-007",
}
"""The codes that say that the same request is refused again."""

_NOT_SERVED: Final = "the client has no part that the situation concerns"


def judge(
    situation: Situation,
    seen: Observation,
    habits: Habits,
    profile: ClientProfile,
    *,
    transport: str,
    token: str,
    quick: bool,
) -> list[Finding]:
    """Return the findings of a situation. A pure function: the same record gives the same findings."""
    case = Case(situation, profile, habits, seen, transport)
    if situation.kind is Kind.CLEAN and not habits.fault:
        judge_clean(case)
    elif habits.fault and situation.kind is not Kind.CLEAN:
        case.unclear(situation.requirement, f"the clean session doesn't work: {habits.fault}")
        return case.findings
    judge_always(case, token)
    if situation.kind is Kind.CLEAN and habits.fault and not case.has_broken("CC-TLS-003"):
        case.unclear("CC-TLS-001", f"the clean session doesn't work: {habits.fault}")
    elif not habits.fault and (rule := _RULES.get(situation.kind)) is not None:
        rule(case, quick)
    return case.findings


def why_not(situation: Situation, habits: Habits, profile: ClientProfile, *, quick: bool) -> str:
    """Return why a situation can't concern a client, or ""."""
    if habits.fault:
        return ""
    if situation.step == "tunnel_info" and not habits.tunnels:
        return "the client opens no tunnels"
    if situation.step == "heartbeat":
        interval = habits.interval or profile.heartbeat_interval
        if not habits.beats and profile.heartbeat_interval is None:
            return "no heartbeat in the clean session: give heartbeat_interval in the client profile"
        longest = 4.0 if quick else 12.0
        if interval is not None and interval > longest:
            return f"heartbeats every {interval:g} s: let the client send one at least every {longest:g} s"
    if situation.drop and not habits.stays:
        return "the client doesn't stay up"
    if situation.name == "answers-merged" and not habits.pipelined:
        return "the client waits for each answer"
    return ""


def _struck(case: Case) -> Reaction | None:
    """Return the reaction; a situation that never came about is inconclusive."""
    found = reaction(case)
    if found is None:
        reached = "it never came that far" if case.seen.connections else "it never connected"
        case.unclear(case.situation.requirement, f"the situation never struck: {reached}")
    return found


def _refused(case: Case, quick: bool) -> None:
    """An error, or status "error", in answer to a step."""
    seen = _struck(case)
    if seen is None:
        return
    situation = case.situation
    what = f"the error {situation.code}" if situation.code else 'the status "error"'
    if seen.went_on:
        case.broken(situation.requirement, f"no success after {what} in answer to {situation.step}", seen.went_on)
        return
    case.passed(situation.requirement)
    _hanging(case, seen, "CC-REF-005", f"a reaction to {what} in answer to {situation.step}", quick)
    if case.has_broken():
        return
    _exit_code(case, seen)
    if situation.code and situation.step != "heartbeat":
        _shown(case, seen)
        _never_again(case, seen)
    if situation.code:
        again = f"{len(seen.attempts)} attempts" if len(seen.attempts) > 1 else "not tried again"
        case.saw("CC-RTY-101", f"{situation.code} in answer to {situation.step}", again)
    if situation.step == "tunnel_info" and situation.kind is Kind.REFUSED:
        stays = "ends" if seen.end is not None else "stays up"
        case.saw("CC-REF-101", situation.code or "status error", stays)
    if len(seen.attempts) > 2:
        judge_retries(case, seen.attempts, ended=seen.end is not None)


def _hanging(case: Case, seen: Reaction, requirement: str, expected: str, quick: bool) -> None:
    """Judge whether the client still waits for another answer."""
    stays_without = case.situation.step == "tunnel_info" and case.habits.stays
    if seen.acted:
        case.passed(requirement)
    elif stays_without or case.situation.step == "heartbeat":
        return  # a client may stay up without a tunnel; unanswered heartbeats have a rule of their own
    elif quick and not limits(case.profile, case.habits, quick=quick).declared:
        case.skipped(requirement, "a quick run doesn't wait long enough: give answer_timeout in the client profile")
    else:
        waited = case.seen.watched - seen.struck
        case.broken(requirement, expected, f"nothing for {waited:.0f} s: no end, no close, no attempt, no output")


def _exit_code(case: Case, seen: Reaction) -> None:
    if seen.end is None:
        return
    if seen.end.code == 0:
        case.broken("CC-ERR-002", "an exit code other than 0 after a failure", "exit code 0")
    elif not seen.end.signal:
        case.passed("CC-ERR-002")


def _shown(case: Case, seen: Reaction) -> None:
    if any(case.situation.code in line for line in case.seen.lines()):
        case.passed("CC-ERR-001")
    elif seen.end is not None:
        printed = " | ".join(seen.said[-2:])
        case.broken(
            "CC-ERR-001", f"the code {case.situation.code} in the output", f"{printed!r:.80}" if printed else "nothing"
        )


def _never_again(case: Case, seen: Reaction) -> None:
    requirement = NEVER_AGAIN.get(case.situation.code)
    if requirement is None:
        return
    if len(seen.attempts) > 1:
        after = seen.attempts[1] - seen.attempts[0]
        case.broken(
            requirement,
            f"no second attempt after {case.situation.code}",
            f"another {case.situation.step} {after:.1f} s later",
        )
    else:
        case.passed(requirement)


def _broken(case: Case, quick: bool) -> None:
    """An answer that isn't one."""
    seen = _struck(case)
    if seen is None:
        return
    situation = case.situation
    if seen.went_on:
        case.broken(situation.requirement, f"no success although {situation.about}", seen.went_on)
        return
    if situation.step == "heartbeat" and not seen.acted:
        unanswered = len(case.seen.strikes)
        if unanswered < case.profile.heartbeat_failures:
            case.skipped(situation.requirement, f"only {unanswered} heartbeats were sent in the time")
            return
        case.broken(
            situation.requirement, f"a reaction although {situation.about}", f"{unanswered} heartbeats, and none"
        )
        return
    case.passed(situation.requirement)
    _hanging(case, seen, "CC-BRK-012", f"a reaction although {situation.about}", quick)
    if not case.has_broken():
        _exit_code(case, seen)


def _silent(case: Case, quick: bool) -> None:
    """No answer, or half a handshake."""
    situation, habits = case.situation, case.habits
    if situation.requirement == "CC-SIL-001":
        _silent_handshake(case, quick)
        return
    seen = _struck(case)
    if seen is None:
        return
    if seen.went_on and situation.step != "heartbeat":
        case.broken(situation.requirement, f"no success although {situation.about}", seen.went_on)
        return
    if situation.step == "heartbeat":
        _unanswered_heartbeats(case, seen)
        return
    if seen.acted:
        case.passed(situation.requirement)
        _exit_code(case, seen)
    else:
        _waits(case, seen.struck, quick)
    _ = habits


def _silent_handshake(case: Case, quick: bool) -> None:
    if not case.seen.connections:
        case.unclear("CC-SIL-001", "it never connected")
        return
    began = case.seen.connections[0]
    given_up = began.ended is not None and began.by == "client"
    if given_up or case.seen.ended_itself is not None or len(case.seen.connections) > 1:
        case.passed("CC-SIL-001")
    else:
        _waits(case, began.at, quick)


def _waits(case: Case, since: float, quick: bool) -> None:
    """Judge a client that still waits for an answer that doesn't come."""
    requirement, waited = case.situation.requirement, case.seen.watched - since
    if quick and not limits(case.profile, case.habits, quick=quick).declared:
        case.skipped(requirement, "a quick run doesn't wait long enough: give answer_timeout in the client profile")
        return
    declared = case.profile.answer_timeout
    within = f"{declared:g} s" if declared is not None else f"{waited:.0f} s"
    case.broken(requirement, f"an end of the wait within {within}", f"still waiting after {waited:.0f} s")


def _unanswered_heartbeats(case: Case, seen: Reaction) -> None:
    if seen.acted:
        case.passed("CC-BRK-010")
        _old_connection(case, seen)
        _exit_code(case, seen)
        return
    count = len(case.seen.strikes)
    shown = f"{count} unanswered heartbeats in {case.seen.watched - seen.struck:.0f} s, and no reaction"
    case.broken("CC-BRK-010", "an end, a new connection or a message about it", shown)


def _old_connection(case: Case, seen: Reaction) -> None:
    """A client that has reconnected must have closed its old connection."""
    if seen.again is None:
        return
    first = case.seen.connections[0]
    left = first.ended is None or first.ended > seen.again + 2.0
    if left and case.seen.watched > seen.again + 1.0:
        case.broken("CC-REC-004", "the old connection closed when the new one opens", "both are open")
    elif not left:
        case.passed("CC-REC-004")


def _lost(case: Case, quick: bool) -> None:
    """The connection ends in answer to a request, or while the client is up."""
    seen = _struck(case)
    if seen is None:
        return
    situation = case.situation
    if seen.went_on:
        case.broken("CC-BRK-009", f"no success although {situation.about}", seen.went_on)
        return
    ended = seen.end is not None
    waited = case.seen.watched - seen.struck
    if not (seen.said or seen.again is not None or ended):
        if situation.kind is Kind.LOST and case.profile.reconnect_delay is None and quick:
            case.skipped(
                "CC-BRK-009", "a quick run doesn't wait long enough: give reconnect_delay in the client profile"
            )
            return
        case.broken(
            "CC-BRK-009", f"a reaction although {situation.about}", f"still up after {waited:.0f} s, without a word"
        )
        return
    case.passed("CC-BRK-009")
    if seen.again is None and not ended:
        open_ = [port for port, accepts in case.seen.ports.items() if accepts and port in case.habits.listens]
        also = f", and its local port {open_[0]} accepts connections" if open_ else ""
        case.broken("CC-REC-001", "a new connection, or the end", f"neither in {waited:.0f} s{also}")
        return
    case.passed("CC-REC-001")
    _exit_code(case, seen)
    case.saw("CC-REC-101", situation.name, "reconnects" if seen.again is not None else "ends")
    if situation.kind is Kind.DROPPED and seen.again is not None:
        _restored(case, seen.again)


def _restored(case: Case, since: float) -> None:
    """After a reconnection, the session must be what it was."""
    later = [each for each in case.seen.connections if each.at >= since]
    best = max(later, key=lambda each: len(each.messages))
    lacking = [
        step for step in ("hello", "auth", "tunnel_info") if len(best.of(step)) < case.habits.counts.get(step, 0)
    ]
    if lacking and not (case.seen.ended_itself is not None):
        sent = ", ".join(message.type for message in best.messages) or "nothing"
        case.broken("CC-REC-003", "hello, auth and every tunnel on the new connection", f"no {lacking[0]}: {sent:.60}")
    elif not lacking:
        case.passed("CC-REC-003")


def _retried(case: Case, quick: bool) -> None:
    """Every attempt fails for some time: the delays are measured."""
    seen = _struck(case)
    if seen is None:
        return
    attempts = tuple(strike.at for strike in case.seen.strikes)
    if case.situation.requirement == "CC-REC-002":
        if len(attempts) < 2:
            case.saw("CC-REC-101", case.situation.name, "doesn't reconnect")
            return
        what = not_growing(attempts) or (has_no_end(attempts) if seen.end is None else "")
        if what and seen.end is None:
            case.broken("CC-REC-002", "growing intervals, or an end", what)
        else:
            case.passed("CC-REC-002")
        return
    if seen.went_on:
        return  # judged in another situation
    judge_retries(case, attempts, ended=seen.end is not None)


def _untrusted(case: Case, quick: bool) -> None:
    """A handshake that must not lead to a token."""
    situation, seen = case.situation, case.seen
    concerned = [each for each in seen.connections if seen.acted is None or each.at > seen.acted]
    if not concerned:
        if situation.drop:
            case.skipped(situation.requirement, "the client didn't reconnect")
        elif seen.ended_itself is None:
            case.unclear(situation.requirement, "it never connected")
        return
    spoken = [each for each in concerned if each.messages]
    if situation.requirement == "CC-TLS-002" and spoken:
        case.broken(situation.requirement, "no message over TLS 1.2", f"sends {_types(spoken[0])}")
    elif any(each.of("auth") for each in concerned):
        case.broken(situation.requirement, f"no token although {situation.about}", f"sends {_types(spoken[0])}")
    elif not case.has_broken("CC-TLS-003"):
        case.passed(situation.requirement)
    end = seen.ended_itself
    if end is not None and end.code == 0 and not situation.drop and not case.has_broken():
        case.broken("CC-ERR-002", "an exit code other than 0 after a failure", "exit code 0")


def _types(connection: Connection) -> str:
    return ", ".join(dict.fromkeys(message.type or "a message" for message in connection.messages))


def _upgrade(case: Case, quick: bool) -> None:
    """A WebSocket handshake that must fail."""
    situation, seen = case.situation, case.seen
    asked = [each for each in seen.connections if each.incoming.frames is not None and each.outgoing.frames is not None]
    if not asked:
        case.unclear(situation.requirement, "it made no upgrade request")
        return
    if situation.requirement == "CC-WSK-005" and _offers_deflate(asked[0]):
        return  # the relay may accept what was offered
    spoken = next((each for each in asked if each.messages), None)
    if spoken is not None:
        case.broken(situation.requirement, f"no message although {situation.about}", f"sends {_types(spoken)}")
    else:
        case.passed(situation.requirement)


def _offers_deflate(connection: Connection) -> bool:
    frames = connection.incoming.frames
    return frames is not None and "permessage-deflate" in frames.headers.get("sec-websocket-extensions", "")


def _as_usual(case: Case) -> str:
    """Return how the session differs from the clean one, or ""."""
    seen, habits = case.seen, case.habits
    end = seen.ended_itself
    if end is not None and (habits.stays or end.code != habits.exit_code or end.signal):
        return f"ends with {end.signal or f'exit code {end.code}'}"
    best = max(seen.connections, key=lambda each: len({m.type for m in each.messages}), default=None)
    if best is None:
        return "never connects"
    lacking = [step for step in STEPS if step != "heartbeat" and len(best.of(step)) < habits.counts.get(step, 0)]
    if lacking:
        return f"sends no {lacking[0]}"
    interval = habits.interval
    if habits.stays and interval is not None and interval <= 3.0 and not best.of("heartbeat"):
        return "sends no heartbeat"
    asked = seen.exit.asked if seen.exit is not None and seen.exit.asked is not None else float("inf")
    if habits.stays and best.by == "client" and best.ended is not None and best.ended < asked:
        return "closes the connection"
    return "doesn't end" if not habits.stays and end is None else ""


def _tolerated(case: Case, quick: bool) -> None:
    """A conforming relay with another style."""
    situation = case.situation
    difference = _as_usual(case)
    if difference:
        case.broken(situation.requirement, f"the usual session although {situation.about}", difference)
        return
    if situation.name == "websocket-pings":
        _pongs(case)
    case.passed(situation.requirement)


def _pongs(case: Case) -> None:
    frames = [each.incoming.frames for each in case.seen.connections if each.incoming.frames is not None]
    pongs = [pong for each in frames for pong in each.pongs]
    if not pongs:
        case.broken("CC-WSK-004", "a pong for each ping", "none")
    elif any(pong != b"how are you" for pong in pongs):
        case.broken("CC-WSK-004", "pongs with the ping's payload", "another payload")


def _observed(case: Case, quick: bool) -> None:
    """A point that the specification leaves open."""
    difference = _as_usual(case)
    case.saw(case.situation.requirement, case.situation.name, difference or "works as usual")


def _websocket_close(case: Case, quick: bool) -> None:
    """A close frame is a loss of the connection that wants an answer."""
    _lost(case, quick)
    frames = [each.incoming.frames for each in case.seen.connections if each.incoming.frames is not None]
    if not case.seen.strikes:
        return
    if any(each.closes for each in frames):
        case.passed("CC-WSK-008")
    else:
        case.broken("CC-WSK-008", "a close frame in answer to one", "none")


def _loss(case: Case, quick: bool) -> None:
    if case.situation.name == "websocket-close":
        _websocket_close(case, quick)
    else:
        _lost(case, quick)


_RULES: Final[Mapping[Kind, Callable[[Case, bool], None]]] = {
    Kind.TOLERATED: _tolerated,
    Kind.OBSERVED: _observed,
    Kind.REFUSED: _refused,
    Kind.BROKEN: _broken,
    Kind.SILENT: _silent,
    Kind.LOST: _loss,
    Kind.DROPPED: _lost,
    Kind.RETRIED: _retried,
    Kind.UNTRUSTED: _untrusted,
    Kind.UPGRADE: _upgrade,
}
