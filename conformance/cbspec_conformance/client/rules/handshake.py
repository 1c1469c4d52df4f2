"""Rules for handshakes that must not lead to a session: TLS, and the upgrade to a WebSocket."""

from __future__ import annotations

from cbspec_conformance.client.observed import ClientConnection
from cbspec_conformance.client.rules.case import SituationCase
from cbspec_conformance.client.rules.common import blame_exit_code


def judge_untrusted(case: SituationCase, quick: bool) -> None:
    """Judge a TLS handshake that must not lead to a token."""
    situation, seen = case.situation, case.seen
    struck = {strike.connection for strike in seen.strikes}
    concerned = [each for each in seen.connections if each.number in struck]
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
    if not situation.drop and not case.has_broken():
        blame_exit_code(case, seen.ended_itself)


def _types(connection: ClientConnection) -> str:
    return ", ".join(dict.fromkeys(message.type or "a message" for message in connection.messages))


def judge_upgrade(case: SituationCase, quick: bool) -> None:
    """Judge a WebSocket handshake that must fail."""
    situation, seen = case.situation, case.seen
    asked = [each for each in seen.connections if each.incoming.frames is not None and each.outgoing.frames is not None]
    if not asked:
        case.unclear(situation.requirement, "it made no upgrade request")
        return
    if situation.requirement == "CC-WSK-005" and asked[0].deflated:
        return  # the relay may accept what was offered
    spoken = next((each for each in asked if each.messages), None)
    if spoken is not None:
        case.broken(situation.requirement, f"no message although {situation.about}", f"sends {_types(spoken)}")
    else:
        case.passed(situation.requirement)
