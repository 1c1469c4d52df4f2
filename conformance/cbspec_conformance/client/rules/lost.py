"""Rules for a connection that ends, and for attempts that all fail."""

from __future__ import annotations

from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.common import blame_exit_code, judge_exit_code, struck
from cbspec_conformance.client.rules.reaction import Reaction
from cbspec_conformance.client.rules.retries import judge_retries, not_growing
from cbspec_conformance.client.situations import Kind


def _lost(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to the end of the connection, at a request or while the client is up."""
    seen = struck(case)
    if seen is None:
        return
    situation = case.situation
    if seen.went_on:
        case.broken("CC-BRK-009", f"no success although {situation.about}", seen.went_on)
        return
    if seen.again is None and seen.end is None:
        _stays_without_connection(case, seen, quick)
        return
    case.passed("CC-BRK-009")
    case.passed("CC-REC-001")
    judge_exit_code(case, seen)
    case.saw("CC-REC-101", situation.name, "reconnects" if seen.again is not None else "ends")
    if situation.kind is Kind.DROPPED and seen.again is not None:
        _restored(case, seen.again)


def _stays_without_connection(case: SituationCase, seen: Reaction, quick: bool) -> None:
    """Judge a client that neither reconnects nor ends."""
    if quick and case.profile.reconnect_delay is None:
        reason = "a quick run doesn't wait long enough: give reconnect_delay in the client profile"
        case.skipped("CC-BRK-009", reason)
        case.skipped("CC-REC-001", reason)
        return
    about, waited = case.situation.about, case.seen.watched - seen.struck
    open_ = [port for port, accepts in case.seen.ports.items() if accepts and port in case.habits.listens]
    if open_:
        what = f"its local port {open_[0]} accepts connections {waited:.0f} s later"
        case.broken("CC-BRK-009", f"no success although {about}", what)
    elif not seen.said:
        case.broken("CC-BRK-009", f"a reaction although {about}", f"still up after {waited:.0f} s, without a word")
    else:
        case.passed("CC-BRK-009")
        case.broken("CC-REC-001", "a new connection, or the end", f"neither in {waited:.0f} s")


def _restored(case: SituationCase, since: float) -> None:
    """Judge whether the session is the same after a reconnection."""
    later = [each for each in case.seen.connections if each.at >= since]
    best = max(later, key=lambda each: len(each.messages))
    lacking = case.habits.lacking(best)
    if lacking and case.seen.ended_itself is None:
        sent = ", ".join(message.type for message in best.messages) or "nothing"
        case.broken("CC-REC-003", "hello, auth and every tunnel on the new connection", f"no {lacking[0]}: {sent:.60}")
    elif not lacking:
        case.passed("CC-REC-003")


def judge_down(case: SituationCase, quick: bool) -> None:
    """Judge the end of a client whose relay can't be reached."""
    blame_exit_code(case, case.seen.ended_itself)


def judge_retried(case: SituationCase, quick: bool) -> None:
    """Judge the delays between attempts that all fail for some time."""
    seen = struck(case)
    if seen is None:
        return
    attempts = tuple(strike.at for strike in case.seen.strikes)
    if case.situation.requirement == "CC-REC-002":
        if len(attempts) < 2:
            case.saw("CC-REC-101", case.situation.name, "doesn't reconnect")
            return
        what = not_growing(attempts)  # whether they end is open, and so is a longest interval
        if what and seen.end is None:
            case.broken("CC-REC-002", "growing intervals, or an end", what)
        else:
            case.passed("CC-REC-002")
        return
    if seen.went_on:
        return  # judged in another situation
    judge_retries(case, attempts, ended=seen.end is not None)


def _websocket_close(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to a close frame: the end of the connection, and an answer."""
    _lost(case, quick)
    if not case.seen.strikes:
        return
    if any(frames.closes for frames in case.seen.websockets):
        case.passed("CC-WSK-008")
    elif any(each.by == "client" and each.how == "reset" for each in case.seen.connections):
        case.skipped("CC-WSK-008", "the client's end reset the connection, so a close frame may be lost")
    else:
        case.broken("CC-WSK-008", "a close frame in answer to one", "none")


def judge_loss(case: SituationCase, quick: bool) -> None:
    """Judge the reaction to the end of the connection, by a close frame or below it."""
    if case.situation.name == "websocket-close":
        _websocket_close(case, quick)
    else:
        _lost(case, quick)
